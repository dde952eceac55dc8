"""Parts are looked up by name, whether built in or from a plug-in."""

import importlib
import sys
import textwrap
from importlib.metadata import EntryPoint

import pytest

from kdbench import registry as module
from kdbench.errors import InputError, nearest
from kdbench.registry import Registry

BUILT_INS = """
from kdbench_parts import parts

@parts.register("{name}")
class Part:
    pass
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A registry whose package has the modules `oak` and `elm`, and no plug-ins."""
    package = tmp_path / "kdbench_parts"
    package.mkdir()
    (package / "__init__.py").write_text(
        textwrap.dedent("""
        from kdbench.registry import Registry
        parts = Registry("tree", "kdbench_parts", "kdbench.trees")
        """)
    )
    for name in ("oak", "elm"):
        (package / f"{name}.py").write_text(BUILT_INS.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    offer(monkeypatch)

    yield importlib.import_module("kdbench_parts").parts
    for name in [name for name in sys.modules if name.startswith("kdbench_parts")]:
        del sys.modules[name]


def offer(monkeypatch, **values):
    """Simulate installed packages that offer parts: name to `module:attribute`."""
    points = [EntryPoint(name, value, "kdbench.trees") for name, value in values.items()]

    def entry_points(group):
        return [point for point in points if point.group == group]

    monkeypatch.setattr(module, "entry_points", entry_points)


def test_every_module_of_the_package_registers_its_parts(parts):
    assert parts.names() == ["elm", "oak"]
    assert parts.get("oak").__module__ == "kdbench_parts.oak"


def test_entry_points_of_the_group_are_listed(parts, monkeypatch):
    offer(monkeypatch, fir="collections:OrderedDict")
    assert parts.names() == ["elm", "fir", "oak"]
    from collections import OrderedDict

    assert parts.get("fir") is OrderedDict


def test_entry_points_of_other_groups_are_not_listed(parts, monkeypatch):
    other = [EntryPoint("fir", "collections:OrderedDict", "kdbench.bushes")]
    monkeypatch.setattr(
        module, "entry_points", lambda group: [entry for entry in other if entry.group == group]
    )
    assert "fir" not in parts.names()


def test_a_plugin_module_may_use_the_decorator_itself(parts, monkeypatch):
    offer(monkeypatch, oak="kdbench_parts.oak:Part")
    assert parts.names() == ["elm", "oak"]


def test_a_plugin_may_not_take_a_built_in_name(parts, monkeypatch):
    offer(monkeypatch, oak="collections:OrderedDict")
    with pytest.raises(InputError, match="two trees are named 'oak'"):
        parts.names()


def test_a_broken_plugin_fails_at_every_lookup(parts, monkeypatch):
    offer(monkeypatch, fir="kdbench_no_such_module:Fir")
    for _ in range(2):
        with pytest.raises((InputError, ImportError), match="kdbench_no_such_module"):
            parts.names()


def test_two_parts_with_the_same_name_are_refused(parts):
    parts.register("yew")(object())
    with pytest.raises(InputError, match="two trees are named 'yew': rename one of them"):
        parts.register("yew")(object())


def test_the_same_part_may_register_twice():
    registry, oak = Registry("tree", "kdbench", "kdbench.trees"), object()
    assert registry.register("yew")(oak) is oak
    assert registry.register("yew")(oak) is oak


def test_an_unknown_name_is_refused_with_the_nearest_one(parts):
    with pytest.raises(InputError, match=r"^unknown tree 'oka': did you mean 'oak'\?$"):
        parts.get("oka")


def test_a_name_without_a_near_one_is_refused_with_all(parts):
    with pytest.raises(InputError, match=r"^unknown tree 'zzz': known: elm, oak$"):
        parts.get("zzz")


def test_nearest_takes_any_iterable():
    assert nearest("rougel", iter(["rougeL", "empty"])) == "did you mean 'rougeL'?"
    assert nearest("q", {"b": 1, "a": 2}) == "known: a, b"


def own(name="Oak", module="__main__"):
    """A class as a notebook defines it."""
    return type(name, (), {"__module__": module})


def test_a_cell_that_runs_again_replaces_its_part(parts):
    parts.register("yew")(own())
    again = parts.register("yew")(own("Yew"))
    assert parts.get("yew") is again


def test_a_cell_may_not_take_a_built_in_name_nor_that_of_a_package(parts):
    for name in ("oak", "elm"):
        with pytest.raises(InputError, match=f"two trees are named '{name}'"):
            parts.register(name)(own())
    parts.register("fir")(own(module="a_package"))
    with pytest.raises(InputError, match="two trees are named 'fir'"):
        parts.register("fir")(own())
    with pytest.raises(InputError, match="two trees are named 'fir'"):
        parts.register("fir")(own(module="a_package"))


def test_each_part_is_prepared_once():
    seen = []
    registry = Registry("tree", "kdbench", "kdbench.trees", seen.append)
    oak = own(module="a_package")
    registry.register("oak")(oak)
    registry.register("oak")(oak)
    assert seen == [oak]

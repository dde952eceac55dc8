"""Parts of a notebook are registered with one decorator."""

import pytest

import kdbench
from kdbench.generate import Backend, backends
from kdbench.methods import Method, methods
from kdbench.metrics import SampleMetric, metrics


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    for registry in (metrics, methods, backends):
        registry.names()
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))


def metric(value, name="shout"):
    """A metric as a cell defines it."""

    class Shout(SampleMetric):
        unit, direction = "rate", "none"

        def score(self, _):
            return value

    Shout.name, Shout.__module__ = name, "__main__"
    return Shout


def test_each_kind_of_part_finds_its_registry():
    class Gentle(Method):
        title, paper, cost = "Gentle", "none", "none"

    class Echo(Backend):
        pass

    shout = metric(1.0)
    assert kdbench.register(shout) is shout
    assert kdbench.register("gentle")(Gentle) is Gentle
    assert kdbench.register("echo_here")(Echo) is Echo
    assert metrics.get("shout") is shout
    assert methods.get("gentle") is Gentle
    assert backends.get("echo_here") is Echo


def test_a_cell_that_runs_again_measures_again(world, tmp_path):
    keys = {"tasks": [{"prompt": "Say it.", "reference": "it"}], "seeds": (1,)}
    keys |= {"max_new_tokens": 4, "results": tmp_path / "results", "device": "cpu"}
    values, versions, generated = [], [], []
    for value in (0.25, 0.25, 0.75):

        class Shout(SampleMetric):
            """Always the same."""

            name, unit, direction = "shout", "rate", "none"
            constant = value

            def score(self, _):
                return self.constant

        Shout.__module__ = "__main__"
        kdbench.register(Shout)
        evaluation = kdbench.evaluate(world.student, metrics=["shout"], **keys)
        result = evaluation.results["prompts"].metrics["shout"]
        values.append(result.value)
        versions.append(result.version)
        generated.append(evaluation.generated)
    assert values == [0.25, 0.25, 0.75]
    assert versions[0] == versions[1] != versions[2]
    assert generated == [1, 0, 0]


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (lambda: kdbench.register(type("Plain", (), {})), "^Plain: not a class of a metric"),
        (lambda: kdbench.register("x")(3), "^3: not a class"),
        (lambda: kdbench.register("other")(metric(1)), "'other' calls itself 'shout'"),
        (lambda: kdbench.register(metric(1, "rougeL")), "two metrics are named 'rougeL'"),
        (lambda: kdbench.register(type("M", (Method,), {})), "^M: a method needs a name: @kdb"),
        (lambda: kdbench.register("hf")(type("B", (Backend,), {})), "two backends are named 'hf'"),
    ],
)
def test_what_cannot_be_registered_is_one_line(part, error):
    with pytest.raises(kdbench.InputError, match=error) as caught:
        part()
    assert "\n" not in str(caught.value)


def test_fill_refuses_a_part_that_its_workers_do_not_know(world, tmp_path):
    kdbench.register(metric(1.0))
    table = tmp_path / "table.yaml"
    table.write_text(f"title: t\nteacher: {world.teacher}\nrows: [{world.student}]\ntasks: dolly\n")
    folders = {"models": tmp_path / "m", "results": tmp_path / "r", "data": world.data}
    with pytest.raises(kdbench.InputError, match=r"Shout was registered in this session.*plugins="):
        kdbench.fill(table, plan=True, **folders)

"""Files of `plugins=` are loaded when the user names them, and only then."""

import sys

import pytest
from outcomes import run

from kdbench.config import EvalSettings, FillSettings, build, parse
from kdbench.distillation.recipe import make_recipe, parse_recipe
from kdbench.errors import InputError
from kdbench.filling.executors.local import LocalExecutor
from kdbench.filling.table import fill
from kdbench.metrics import metrics
from kdbench.registry import plugins
from kdbench.registry.plugins import load_plugins, loaded_plugins, recorded, stamp_of
from kdbench.task import load_tasks

METRIC = """
import kdbench
from kdbench.metrics import SampleMetric


@kdbench.register
class Vowels(SampleMetric):
    name = "{name}"
    unit = "rate"
    direction = "none"

    def score(self, answer):
        return {value}
"""


@pytest.fixture
def metric_file(tmp_path, monkeypatch):
    """A function that writes a file with a metric; nothing of it stays after the test."""
    monkeypatch.setattr(plugins, "_loaded", {})
    metrics.names()  # all built-in ones are there before the copy is made
    monkeypatch.setattr(metrics, "_parts", dict(metrics._parts))
    modules = set(sys.modules)

    def write(value=0.5, name="vowels", file="parts.py"):
        path = tmp_path / file
        path.write_text(METRIC.format(name=name, value=value))
        return path

    yield write
    for name in set(sys.modules) - modules:
        if name.startswith("kdbench_plugin_"):
            del sys.modules[name]


def test_a_files_part_is_found_by_its_name_and_carries_its_hash(metric_file):
    load_plugins([file := metric_file()])
    kind = metrics.get("vowels")
    (sha256,) = recorded([file]).values()
    assert kind.version == f"1+{sha256[:12]}"
    assert stamp_of(kind) == sha256[:12]
    assert recorded([file.with_name("other.py")]) == {}
    assert stamp_of(metrics.get("rougeL")) == ""


def test_an_unchanged_file_runs_once_and_a_changed_one_again(metric_file):
    load_plugins([file := metric_file()])
    first = metrics.get("vowels")
    load_plugins([str(file)])
    assert metrics.get("vowels") is first
    load_plugins([metric_file(0.75)])
    second = metrics.get("vowels")
    assert second.version != first.version
    assert second().score(None) == 0.75
    assert len(loaded_plugins()) == 1


def test_a_file_may_name_prompts(tmp_path, metric_file, monkeypatch):
    monkeypatch.setattr("kdbench.task.given_rows._given", {})
    file = tmp_path / "prompts.py"
    file.write_text("import kdbench\nkdbench.register('mine', [{'prompt': 'a', 'id': 'x'}])\n")
    load_plugins([file])
    (task,) = load_tasks(["mine"])
    assert [document.id for document in task.documents] == ["x"]


def test_two_files_may_not_share_a_name(metric_file):
    load_plugins([metric_file()])
    with pytest.raises(InputError, match=r"again\.py:\d+: two metrics are named 'vowels'"):
        load_plugins([metric_file(file="again.py")])
    with pytest.raises(InputError, match=r"built\.py:\d+: two metrics are named 'rougeL'"):
        load_plugins([metric_file(name="rougeL", file="built.py")])
    assert len(loaded_plugins()) == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"x = 1\ny = (\n", r"bad\.py:2: SyntaxError: '\(' was never closed"),
        (b"x = 1\n\n1 / 0\n", r"bad\.py:3: ZeroDivisionError: division by zero"),
        (b"def f():\n    raise KeyError('a\\nb')\n\nf()\n", r"bad\.py:2: KeyError: "),
        (b"import no_such_module\n", r"bad\.py:1: ModuleNotFoundError: No module named"),
        (b"raise SystemExit(0)\n", r"bad\.py:1: SystemExit: 0"),
        (b"\xff\xfe", r"bad\.py:\d: SyntaxError: "),
        (b"import kdbench\n@kdbench.register\nclass A: pass\n", r"bad\.py:2: A: not a class of a"),
        (b"import kdbench\nkdbench.register(3)\n", r"bad\.py:2: 3: not a class of a metric"),
    ],
)
def test_a_bad_file_is_one_line_with_the_place(tmp_path, content, error, metric_file):
    file = tmp_path / "bad.py"
    file.write_bytes(content)
    with pytest.raises(InputError, match=error) as caught:
        load_plugins([file])
    assert "\n" not in str(caught.value)
    assert loaded_plugins() == []
    assert not [name for name in sys.modules if name.startswith("kdbench_plugin_bad")]


@pytest.mark.parametrize(
    ("name", "error"),
    [("none.py", "No such file"), ("parts.txt", "not a Python file"), (".", "not a Python file")],
)
def test_a_missing_file_is_an_error(name, error):
    with pytest.raises(InputError, match=rf"^plugins={name}: {error}"):
        parse(EvalSettings, ["model=m", f"plugins={name}"])


def test_the_key_takes_words_paths_and_lists(metric_file):
    file = metric_file()
    for value in (str(file), file, [str(file)], (file,)):
        assert build(EvalSettings, {"model": "m", "plugins": value}).plugins == (file,)
    assert parse(EvalSettings, ["model=m", f"plugins={file}"]).plugins == (file,)
    assert build(EvalSettings, {"model": "m"}).plugins == ()


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file that must never run, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.py").write_text("open('sprung', 'w')\n")
    yield
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("text", ["plugins: trap.py\n", "plugins: [trap.py]\n"])
def test_no_file_of_keys_may_name_code(trap, tmp_path, text):
    (tmp_path / "keys.yaml").write_text(f"method: sft\nstudent: s\ndata: d\n{text}")
    calls = [
        lambda: parse(EvalSettings, ["model=m", "config=keys.yaml"]),
        lambda: parse_recipe(["config=keys.yaml"]),
        lambda: parse_recipe(["recipe=keys.yaml"]),
        lambda: make_recipe({"recipe": "keys.yaml"}),
        lambda: fill(FillSettings(table="keys.yaml")),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"keys\.yaml: plugins: runs code"):
            call()
    (tmp_path / "upper.yaml").write_text("extends: keys.yaml\n")
    with pytest.raises(InputError, match=r"keys\.yaml: plugins: runs code"):
        parse_recipe(["recipe=upper.yaml"])


@pytest.mark.parametrize("section", ["train", "evaluate"])
def test_no_section_of_a_table_may_name_code(trap, tmp_path, section, world):
    table = f"title: t\nteacher: {world.teacher}\n{section}: {{plugins: trap.py}}\n"
    table += f"rows: [{{label: A, train: {{method: sft, student: {world.student}, steps: 1}}}}]\n"
    (tmp_path / "table.yaml").write_text(table)
    keys = {"models": "m", "results": "r", "data": world.data, "plan": True}
    with pytest.raises(InputError, match=f"{section}: plugins: runs code, so a table cannot name"):
        fill(FillSettings(table="table.yaml", **keys))


NODE = """
from dataclasses import dataclass

from kdbench.filling.nodes import Node
from kdbench.metrics import metrics


@dataclass(frozen=True)
class Look(Node):
    kind = "look"

    def is_done(self):
        return self.place.exists()

    def amount(self):
        return None

    def run(self):
        self.place.write_text(metrics.get("vowels").version)
        return True
"""


def test_worker_processes_load_the_files_too(metric_file, tmp_path):
    parts = metric_file()
    (tmp_path / "node.py").write_text(NODE)
    load_plugins([parts, tmp_path / "node.py"])
    (module,) = (sys.modules[p.module] for p in loaded_plugins() if p.path.name == "node.py")
    executor = LocalExecutor(1, tmp_path / "models")
    executor.submit(module.Look("A", (), "0" * 64, tmp_path / "seen"))
    results = []
    while not results:
        results = executor.finished(1.0)
    executor.close()
    assert [result.error for result in results] == [None]
    assert (tmp_path / "seen").read_text() == metrics.get("vowels").version


def test_a_class_of_a_script_is_stamped_by_its_own_code():
    def made(body, value=1):
        scope = {"__name__": "__main__"}
        exec(f"class Part:\n    share = {value!r}\n    def score(self, a):\n        {body}", scope)
        return stamp_of(scope["Part"])

    assert made("return 1") == made("return 1")
    stamps = {made("return 1"), made("return 2"), made("return a.text"), made("return 1", 2)}
    assert len(stamps) == 4
    assert all(len(stamp) == 12 for stamp in stamps)


@pytest.mark.parametrize("words", [["plugins={}"], ["--plugins={}"], ["--plugins", "{}"]])
def test_a_files_part_is_listed_and_explained(metric_file, words):
    words = [word.format(metric_file()) for word in words]
    assert "vowels" in run(["metrics", *words]).out
    assert run(["metrics", *words, "vowels"]).out.startswith("vowels:")
    assert run(["metrics", "vowels", *words]).out.startswith("vowels:")


@pytest.mark.parametrize("words", [["plugins="], ["--plugins"]])
def test_a_list_without_the_file_is_one_line(words):
    done = run(["metrics", *words])
    assert (done.code, done.out) == (2, "")
    assert done.err == "kdbench: plugins= needs a Python file (.py)\n"

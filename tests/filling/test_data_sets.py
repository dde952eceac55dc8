"""Data sets that a table builds: their place in the graph, what they depend on, and one fill."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdbench.config import FillSettings
from kdbench.distillation.card import CARD
from kdbench.errors import InputError
from kdbench.filling.build_node import BuildNode
from kdbench.filling.executor import Executor, NeedsOf
from kdbench.filling.graph import Graph, Places
from kdbench.filling.nodes import Node
from kdbench.filling.resources import Needs
from kdbench.filling.spec import read_spec
from kdbench.filling.table import fill
from kdbench.filling.work import NodeResult, do
from kdbench.registry.plugins import load_plugins
from kdbench.system.files import sha256_of_file
from kdbench.toy.models import World

Change = Callable[[dict[str, Any]], None]
Make = Callable[..., Graph]

RESPONSES = {"builder": "teacher_responses", "limit": 6, "max_new_tokens": 4}


def spec_of(world: World) -> dict[str, Any]:
    """A row learns what a model answers that another row has trained on a built set."""
    return {
        "title": "t",
        "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
        "student": {"label": "Student", "checkpoint": str(world.student)},
        "data_sets": {
            "second": {**RESPONSES, "teacher": "Weak", "train_set": "built:some", "limit": None},
            "some": {"builder": "select", "by": "random", "rows": 8, "limit": 20},
            "first": {**RESPONSES},
        },
        "rows": [
            {"label": "Last", "train": {"recipe": "toy/sft", "train_set": "built:second"}},
            {"label": "Weak", "train": {"recipe": "toy/sft", "train_set": "built:first"}},
            {"label": "KD", "train": {"recipe": "toy/kd"}},
        ],
        "train": {"steps": 1, "batch_size": 4, "validation_limit": 2, "max_new_tokens": 4},
        "evaluate": {"limit": 2, "seeds": [10], "max_new_tokens": 4, "metrics": ["rougeL"]},
        "tasks": ["dolly"],
        "data": str(world.data),
    }


@pytest.fixture
def write(world: World, tmp_path: Path) -> Callable[[Change], Path]:
    def write(change: Change = lambda spec: None) -> Path:
        values = spec_of(world)
        change(values)
        file = tmp_path / "table.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

    return write


@pytest.fixture
def make(write: Callable[[Change], Path], tmp_path: Path) -> Make:
    def make(change: Change = lambda spec: None) -> Graph:
        spec = read_spec(write(change))
        return Graph(spec, Places(tmp_path / "models", tmp_path / "results", spec.data))

    return make


def build_of(graph: Graph, name: str) -> BuildNode:
    node = graph.nodes[f"build {name}"]
    assert isinstance(node, BuildNode)
    return node


def places(graph: Graph) -> dict[str, Path]:
    return {key: node.place for key, node in graph.nodes.items()}


def moved(before: Graph, after: Graph) -> set[str]:
    known, now = places(before), places(after)
    return {key for key in known if known[key] != now[key]}


def test_each_node_comes_after_those_it_needs(make: Make) -> None:
    graph, seen = make(), set[str]()
    for key, node in graph.nodes.items():
        assert set(node.needs) <= seen, key
        seen.add(key)
    needs = {key: set(node.needs) for key, node in graph.nodes.items()}
    assert needs["build first"] == {"checkpoint Teacher"}
    assert needs["train Weak"] == {"checkpoint Student", "build first"}
    assert needs["build second"] == {"train Weak", "build some"}
    assert needs["train Last"] == {"checkpoint Student", "build second"}
    assert needs["build some"] == set()
    assert [row.label for row in graph.rows] == ["Last", "Weak", "KD"]  # as in the file


def test_a_training_learns_from_the_folder_that_is_built(make: Make, world: World) -> None:
    graph = make()
    settings = graph.rows[0].recipe.settings
    second = build_of(graph, "second")
    assert (settings.data, settings.train_set) == (second.place, "dolly")
    assert second.place.parent == graph.places.models / "data"
    assert second.place.name.startswith("second-")
    # A set that is built from another one still finds test sets in the table's data=.
    read = second.recipe.settings
    assert (read.data, read.set_name) == (world.data, "dolly")
    assert read.train_set == str(build_of(graph, "some").place / "dolly" / "train.jsonl")
    assert second.recipe.builder.teacher == str(graph.nodes["train Weak"].place)
    assert build_of(graph, "first").recipe.builder.teacher == str(world.teacher)


def test_training_seeds_share_a_set_of_their_first(make: Make) -> None:
    one, three = make(), make(lambda spec: spec.update(train_seeds=3))
    assert moved(one, three) == set()
    assert {node.recipe.settings.data for node in three.rows[:3]} == {build_of(one, "second").place}
    assert "train Weak seed 11" not in build_of(three, "second").needs


OF_SECOND = {"build second", "train Last", "evaluate Last"}
OF_FIRST = {"build first", "train Weak", "evaluate Weak", *OF_SECOND}


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("first", {**RESPONSES, "limit": 5}, OF_FIRST),
        ("first", {**RESPONSES, "teacher": "Student"}, OF_FIRST),
        ("first", {**RESPONSES, "temperature": 0.5}, OF_FIRST),
        ("first", {**RESPONSES, "device": "cpu", "batch_size": 2}, set()),
        ("first", {**RESPONSES, "teacher": "Teacher", "resources": {"gpus": 0}}, set()),
        ("some", {"builder": "select", "by": "random", "rows": 7}, {"build some", *OF_SECOND}),
        ("new", {"builder": "select", "by": "random"}, set()),
    ],
)
def test_a_changed_set_moves_what_is_made_from_it(
    make: Make, key: str, value: dict[str, Any], wanted: set[str]
) -> None:
    changed = make(lambda spec: spec["data_sets"].update({key: value}))
    assert moved(make(), changed) == wanted


def test_fingerprints_do_not_depend_on_folders(make: Make, tmp_path: Path) -> None:
    here = make()
    assert here.spec.data is not None
    there = Graph(here.spec, Places(tmp_path / "x", tmp_path / "y", here.spec.data))
    for key, node in here.nodes.items():
        assert there.nodes[key].fingerprint == node.fingerprint, key


def test_a_table_without_sets_keeps_its_places(make: Make) -> None:
    def without(spec: dict[str, Any]) -> None:
        del spec["data_sets"], spec["rows"][:2]

    plain = make(without)
    assert places(plain).items() <= places(make()).items()


def test_the_rows_that_are_read_are_part_of_a_set(make: Make, world: World, tmp_path: Path) -> None:
    data = shutil.copytree(world.data, tmp_path / "data")
    before = make(lambda spec: spec.update(data=str(data)))
    with (data / "dolly" / "train.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "x", "output": "y"}) + "\n")
    after = make(lambda spec: spec.update(data=str(data)))
    assert {"build first", "build some", "build second"} <= moved(before, after)


def test_the_test_sets_of_a_clean_set_are_part_of_it(
    make: Make, world: World, tmp_path: Path
) -> None:
    data = shutil.copytree(world.data, tmp_path / "data")

    def clean(spec: dict[str, Any]) -> None:
        spec["data"] = str(data)
        spec["data_sets"]["clean"] = {"builder": "decontaminate", "train_set": "built:some"}

    before = make(clean)
    with (data / "dolly" / "test.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "x", "output": "y"}) + "\n")
    after = make(clean)
    assert "build clean" in moved(before, after)
    assert "build some" not in moved(before, after)


def test_a_key_for_files_can_name_a_built_set(make: Make) -> None:
    def matched(spec: dict[str, Any]) -> None:
        keys = {"builder": "select", "by": "length", "which": "matched"}
        spec["data_sets"]["matched"] = {**keys, "like": "built:some", "without": "built:first"}

    graph = make(matched)
    node, some, first = (build_of(graph, name) for name in ("matched", "some", "first"))
    assert (node.recipe.builder.like, node.recipe.builder.without) == (some.place, (first.place,))
    assert set(node.needs) == {"build some", "build first"}
    changed = make(lambda spec: (matched(spec), spec["data_sets"]["some"].update(rows=7)))
    assert "build matched" in moved(graph, changed)


def changed(name: str, **keys: Any) -> Change:
    return lambda spec: spec["data_sets"][name].update(keys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda spec: spec["rows"][2]["train"].update(train_set="built:frist"),
            "row 'KD': train_set: built:frist: the table builds no set 'frist': did you mean 'fir",
        ),
        (lambda spec: spec.pop("data_sets"), "built:second: .*: add data_sets: to the file"),
        (changed("first", teacher="Waek"), "first: teacher: 'Waek': neither a model .*'Weak'"),
        (changed("first", builder="selekt"), "first: unknown builder 'selekt': did you mean"),
        (changed("first", limt=3), "first: unknown key 'limt' of builder=teacher_responses: did"),
        (changed("first", limit=0), "first: limit=0: input should be greater"),
        (changed("first", out="x"), "first: 'out' is set by the table; remove it here"),
        (changed("first", data="x"), "first: 'data' is set by the table; remove it here"),
        (changed("first", plugins="x.py"), "first: plugins: runs code, so a table cannot"),
        (changed("first", train_set="built:x"), "first: built:x: the table builds no set 'x'"),
        (changed("some", without="built:x"), "some: without: built:x: the table builds no"),
        (changed("first", resources={"gpu": 1}), "first: resources: unknown key 'gpu': did you"),
        (lambda spec: spec["data_sets"].update({"a b": RESPONSES}), "'a b': use only letters"),
        (lambda spec: spec["data_sets"].update(new={"by": "x"}), "new: builder: is missing"),
        (lambda spec: spec["data_sets"].update(new=3), "data_sets.new: input should be a valid"),
        (
            changed("first", train_set="built:second"),
            "data_sets: a circle: built:second needs row 'Weak' needs built:first needs built:sec",
        ),
        (changed("some", train_set="built:some"), "a circle: built:some needs built:some"),
        (
            lambda spec: spec.update(
                teacher={"train": {"recipe": "toy/sft", "student": "x", "train_set": "built:first"}}
            ),
            "a circle: teacher 'Teacher' needs built:first needs teacher 'Teacher'",
        ),
    ],
)
def test_bad_sets_are_one_line_that_names_the_file(
    write: Callable[[Change], Path], tmp_path: Path, change: Change, message: str
) -> None:
    file = write(change)
    folders = {"models": tmp_path / "m", "results": tmp_path / "r"}
    with pytest.raises(InputError, match=rf"^{file}: .*{message}") as error:
        fill(FillSettings(table=str(file), **folders))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("first", teacher="./nowhere"), "first: teacher=./nowhere: no such folder"),
        (changed("first", train_set="dolyl"), "first: .*dolyl/train.jsonl: no such file"),
        (changed("first", train_set="x.jsonl"), "first: train_set=x.jsonl: no such file"),
        (changed("some", without="./x"), "some: without: x: no such file or folder"),
    ],
)
def test_what_a_set_reads_must_exist(make: Make, change: Change, message: str) -> None:
    with pytest.raises(InputError, match=f"^data_sets: {message}"):
        make(change)


def test_a_build_states_what_it_needs(make: Make) -> None:
    def state(spec: dict[str, Any]) -> None:
        spec["resources"] = {"build": {"cpus": 2, "gpus": 1}}
        spec["data_sets"]["first"] = {**RESPONSES, "resources": {"gpus": 0.5}}

    plain, stated = make(), make(state)
    of = Needs(plain).of
    assert [of(build_of(plain, name)).gpus for name in ("first", "some")] == [1, 0]
    assert of(build_of(plain, "second")).likely_memory is not None  # of a model to be trained
    needs = Needs(stated).of(build_of(stated, "first"))
    assert (needs.gpus, needs.cpus) == (0.5, 2)
    assert Needs(stated).of(build_of(stated, "some")).gpus == 1
    with pytest.raises(InputError, match="resources: unknown key 'build'"):
        make(lambda spec: spec["rows"][0].update(resources={"build": {"gpus": 1}}))


class Inline(Executor):
    """Runs each node at once, in this process."""

    begun: tuple[str, ...] = ()

    def __init__(self, models: Path, needs: NeedsOf):
        super().__init__(None, models, needs)
        self.slots = 1
        self._ended: list[NodeResult] = []

    def submit(self, node: Node) -> None:
        Inline.begun = (*Inline.begun, node.key)
        self._ended.append(do(node, self.models))

    def finished(self, timeout: float) -> list[NodeResult]:
        del timeout
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


def test_fill_builds_trains_and_measures(
    write: Callable[[Change], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.filling.table.choose_executor", lambda _: Inline)
    monkeypatch.setattr(Inline, "begun", ())
    folders = {"models": tmp_path / "m", "results": tmp_path / "r"}
    settings = FillSettings(table=str(write()), **folders)
    assert fill(settings).failed == {}
    assert [key for key in Inline.begun if not key.startswith("evaluate")] == [
        *("build first", "train Weak", "build some", "build second", "train Last", "train KD")
    ]
    (last,) = (tmp_path / "m").glob("Last-*")
    (second,) = (tmp_path / "m" / "data").glob("second-*")
    card = json.loads((last / CARD).read_text())
    assert f"data={second}" in card["command"]
    assert card["data_set"] == {
        "name": "dolly",
        "builder": "teacher_responses",
        "rows": 8,
        "sha256": sha256_of_file(second / "card.json"),
    }
    assert "data_set" not in json.loads(next((tmp_path / "m").glob("KD-*/" + CARD)).read_text())
    times = (tmp_path / "m" / "times.jsonl").read_text()
    assert '"kind": "build", "what": "teacher_responses", "amount": 8' in times
    done = Inline.begun
    assert fill(settings).failed == {}
    assert Inline.begun == done
    shutil.rmtree(tmp_path / "m")  # results need neither models nor data sets
    plan = fill(settings.model_copy(update={"plan": True})).text
    assert "nothing to do" in plan
    assert "unneeded  build second" in plan


KILLED = '''
"""A builder whose process is killed once, after the first response."""
import os
from pathlib import Path
from typing import ClassVar

from kdbench.builders import Builder, builders


@builders.register("killed")
class Killed(Builder):
    """Prompts as responses."""

    title: ClassVar[str] = "t"
    paper: ClassVar[str] = "p"
    cost: ClassVar[str] = "c"
    marks: str

    def build(self, work):
        from kdbench.builders.workshop.questions import answered

        marks = Path(self.marks)
        with marks.open("a") as file:
            file.write("begun ")
        lines = work.kept_lines("texts")
        known = [line["id"] for line in lines.read()]
        for row in work.rows:
            if row.id not in known:
                with lines.appending() as add:
                    add.add({"id": row.id})
                with marks.open("a") as file:
                    file.write(f"{row.id} ")
                if not known:
                    os.kill(os.getpid(), 9)
            yield answered(row, row.prompt[:20])
'''


def test_a_killed_build_resumes(make: Make, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    (tmp_path / "killed.py").write_text(KILLED)
    load_plugins([tmp_path / "killed.py"])

    def killed(spec: dict[str, Any]) -> None:
        spec["data_sets"] = {"first": {"builder": "killed", "marks": str(marks), "limit": 4}}
        spec["rows"] = spec["rows"][1:2]

    node = build_of(make(killed), "first")
    process = multiprocessing.get_context("fork").Process(target=node.run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert node.is_half_done()
    assert not node.is_done()
    assert node.run() is False  # not the time of a whole build
    assert node.is_done()
    assert not node.is_half_done()
    words = marks.read_text().split()
    assert words.count("begun") == 2
    assert len(words) == 2 + 4  # nothing was done twice
    assert len((node.place / "dolly" / "train.jsonl").read_text().splitlines()) == 4

"""The graph of a table: its nodes, their order, and which change affects which node."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdbench.errors import InputError
from kdbench.filling.graph import Graph, Places
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec, tables
from kdbench.toy.models import World

Make = Callable[..., Graph]


def spec_of(world: World) -> dict[str, Any]:
    return {
        "title": "a table",
        "teacher": {"label": "Teacher", "checkpoint": str(world.teacher)},
        "student": {"label": "Student", "checkpoint": str(world.student)},
        "undistilled": "SFT",
        "rows": [{"train": {"recipe": "toy/sft"}}, {"train": {"recipe": "toy/gkd"}}],
        "train": {"limit": 8, "steps": 1},
        "evaluate": {"limit": 2, "seeds": [10, 20]},
        "tasks": ["dolly"],
        "data": str(world.data),
    }


@pytest.fixture
def make(world: World, tmp_path: Path) -> Make:
    def graph(
        change: Callable[[dict[str, Any]], None] = lambda spec: None, **changes: str
    ) -> Graph:
        values = spec_of(world)
        change(values)
        file = tmp_path / "table.yaml"
        file.write_text(yaml.safe_dump(values))
        spec = read_spec(file, {key.replace("__", "."): value for key, value in changes.items()})
        assert spec.data is not None
        return Graph(spec, Places(tmp_path / "models", tmp_path / "results", spec.data))

    return graph


def test_nodes_are_teacher_student_methods_and_cells(make: Make) -> None:
    assert list(make().nodes) == [
        "checkpoint Teacher",
        "checkpoint Student",
        "train SFT",
        "train GKD",
        "evaluate Teacher",
        "evaluate SFT",
        "evaluate GKD",
    ]


def test_teacher_keys_apply_to_students_only(make: Make) -> None:
    graph = make(evaluate__teacher_cache="kept", evaluate__cache_top_k="64")
    caches = {node.label: node.settings.teacher_cache for node in evaluations(graph)}
    assert caches == {"Teacher": None, "SFT": Path("kept"), "GKD": Path("kept")}


def evaluations(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes.values() if node.kind == "evaluate"]


def test_each_node_comes_after_those_it_needs(make: Make) -> None:
    graph, seen = make(), set[str]()
    for key, node in graph.nodes.items():
        assert set(node.needs) <= seen
        seen.add(key)
    needs = {key: set(node.needs) for key, node in graph.nodes.items()}
    assert needs["train SFT"] == {"checkpoint Student"}
    assert needs["train GKD"] == {"checkpoint Teacher", "checkpoint Student"}
    # The teacher's responses and the floor are made once, before others need them.
    assert {"evaluate Teacher", "evaluate SFT", "train GKD"} <= needs["evaluate GKD"]
    assert "evaluate SFT" not in needs["evaluate SFT"]


def places(graph: Graph) -> dict[str, str]:
    return {key: node.place.name for key, node in graph.nodes.items()}


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({}, set()),
        ({"evaluate__limit": "1"}, {"evaluate Teacher", "evaluate SFT", "evaluate GKD"}),
        (
            {"train__learning_rate": "0.5"},
            {"train SFT", "train GKD", "evaluate SFT", "evaluate GKD"},
        ),
        ({"train__log_every": "3"}, set()),  # does not affect the result
        ({"title": "another"}, set()),
        ({"undistilled": "null"}, {"evaluate GKD"}),
    ],
)
def test_a_changed_key_moves_only_the_nodes_it_affects(
    make: Make, changes: dict[str, str], other: set[str]
) -> None:
    before, now = places(make()), places(make(**changes))
    assert {key for key in before if before[key] != now[key]} == other


def test_a_further_row_does_not_change_the_others(make: Make) -> None:
    def add(values: dict[str, Any]) -> None:
        values["rows"].append({"train": {"recipe": "toy/kd"}})

    before, now = places(make()), places(make(add))
    assert set(now) - set(before) == {"train KD", "evaluate KD"}
    assert all(now[key] == before[key] for key in before)


def test_nodes_that_use_data_depend_on_its_content(
    make: Make, world: World, tmp_path: Path
) -> None:
    import shutil

    data = shutil.copytree(world.data, tmp_path / "data")
    before = places(make(data=str(data)))
    with (data / "dolly" / "valid.jsonl").open("a") as file:
        file.write("\n")
    now = places(make(data=str(data)))
    changed = {key for key in before if before[key] != now[key]}
    assert changed == {"train SFT", "train GKD", "evaluate SFT", "evaluate GKD"}


def broken(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values[key] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tilte", "x", "unknown key 'tilte': did you mean 'title'"),
        ("teacher", {}, "teacher: give either checkpoint: or train:"),
        ("rows", [{"train": {"recipe": "toy/sft"}, "checkpoint": "x"}], "rows.0: give either"),
        ("rows", [{"train": {"recipe": "toy/sft"}}] * 2, "two models have the label 'SFT'"),
        ("rows", [{"train": {"method": "sfft"}}], "unknown method 'sfft'"),
        (
            "rows",
            [{"train": {"recipe": "toy/sft", "out": "x"}}],
            "train: 'out' is set by the table",
        ),
        ("evaluate", {"model": "x"}, "evaluate: 'model' is set by the table"),
        ("evaluate", {"teacher_name": "x"}, "evaluate: 'teacher_name' is set by the table"),
        ("evaluate", {"limmit": 3}, "unknown key 'limmit'"),
        ("undistilled", "KD", "undistilled: no row has the label 'KD': did you mean 'GKD'"),
        ("rows", [], "undistilled: no row has the label 'SFT': there is none"),
        ("student", {"checkpoint": "nowhere"}, "checkpoint=nowhere: no such folder"),
        ("rows", [{"label": "../x", "checkpoint": "y"}], "use only letters, digits, spaces"),
    ],
)
def test_a_wrong_table_gives_a_one_line_error(
    make: Make, key: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(broken(key, value))


def test_a_missing_table_lists_the_known_ones(tmp_path: Path) -> None:
    assert find_spec("smollm2-135m") == tables()["smollm2-135m"]
    with pytest.raises(InputError, match="unknown table 'smollm2', and no such file"):
        find_spec("smollm2")


def test_a_change_below_a_value_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="'title' has no keys of its own"):
        make(title__x="1")


def test_a_table_measures_all_metrics_unless_it_names_some(make: Make) -> None:
    def metrics(**changes: str) -> set[tuple[str, ...]]:
        nodes = make(**changes).nodes
        return {nodes[f"evaluate {label}"].settings.metrics for label in ("SFT", "Teacher")}

    assert metrics() == metrics(evaluate__metrics="all") == {("all",)}
    assert metrics(evaluate__metrics="headline") == {("headline",)}
    assert metrics(evaluate__metrics="rougeL,top1") == {("rougeL", "top1"), ("rougeL",)}


def test_a_row_can_have_the_card_of_another_tool(make: Make, world: World, tmp_path: Path) -> None:
    card = tmp_path / "card.yaml"
    card.write_text("method: OPD\n")

    def with_card(spec: dict[str, Any]) -> None:
        spec["rows"].append({"checkpoint": str(world.student), "card": str(card)})

    first = make(with_card)
    assert first.rows[-1].label == "OPD"
    assert first.evaluations["OPD"].settings.card == card
    card.write_text("method: OPD\ncost: {seconds: 3}\n")
    second = make(with_card)
    places = [graph.evaluations["OPD"].place for graph in (first, second)]
    assert places[0] != places[1]
    assert first.evaluations["SFT"].place == second.evaluations["SFT"].place
    card.write_text("metod: OPD\n")
    with pytest.raises(InputError, match=r"card\.yaml: metod: unknown key; did you mean 'method'"):
        make(with_card)
    with pytest.raises(InputError, match="card: is for a checkpoint"):
        make(lambda spec: spec["rows"].append({"train": {"method": "sft"}, "card": "x"}))


def test_a_training_set_can_be_a_file(make: Make, world: World, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        shutil.copy(world.data / "dolly" / f"{split}.jsonl", tmp_path)

    def with_file(spec: dict[str, Any]) -> None:
        spec["train"]["train_set"] = str(tmp_path / "train.jsonl")

    first = make(with_file).nodes["train SFT"].fingerprint
    with (tmp_path / "valid.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "x", "output": "y"}) + "\n")
    assert make(with_file).nodes["train SFT"].fingerprint != first
    (tmp_path / "valid.jsonl").unlink()
    with pytest.raises(InputError, match=r"valid\.jsonl: no such file"):
        make(with_file)


def test_checkpoints_that_are_asked_for_need_what_they_are_trained_from(make: Make) -> None:
    graph = make(broken("student", {"train": {"recipe": "toy/sft", "student": "random:x"}}))
    assert all(key.startswith("evaluate ") for key in graph.goals)
    asked = Graph(graph.spec, graph.places, rows=["GKD"], checkpoints=True).goals
    assert asked == {"evaluate GKD", "train GKD", "train Student", "checkpoint Teacher"}


def test_a_row_has_a_training_for_each_seed(make: Make) -> None:
    one, three = make(), make(lambda spec: spec.update(train_seeds=3))
    names = [node.label for node in three.rows]
    assert names == ["SFT", "SFT seed 11", "SFT seed 12", "GKD", "GKD seed 11", "GKD seed 12"]
    assert [node.row for node in three.rows] == ["SFT"] * 3 + ["GKD"] * 3
    # More seeds leave what is done as it is.
    for label in ("SFT", "GKD"):
        assert three.nodes[f"train {label}"].place == one.nodes[f"train {label}"].place
        assert three.evaluations[label].place == one.evaluations[label].place
    assert len({node.place for node in three.nodes.values()}) == len(three.nodes)
    settings = three.evaluations["GKD seed 12"].settings
    assert (settings.name, settings.method) == ("GKD seed 12", "GKD")


def test_seeds_can_be_listed(make: Make) -> None:
    graph = make(train_seeds="[5, 7]")
    assert [node.recipe.settings.seed for node in graph.rows] == [5, 7, 5, 7]
    assert [node.label for node in graph.rows] == ["SFT", "SFT seed 7", "GKD", "GKD seed 7"]


@pytest.mark.parametrize("seeds", ["0", "[]", "[1, 1]", "-1", "x", "1.5"])
def test_bad_seeds_are_refused(make: Make, seeds: str) -> None:
    with pytest.raises(
        InputError, match=r"train_seeds: (must be a number from 1 to|seeds must be)"
    ):
        make(train_seeds=seeds)


def test_a_given_checkpoint_and_the_teacher_have_one_seed(make: Make, world: World) -> None:
    rows = [{"label": "Given", "checkpoint": str(world.student)}, {"train": {"recipe": "toy/sft"}}]
    graph = make(lambda spec: spec.update(rows=rows, train_seeds=2))
    assert [node.label for node in graph.rows] == ["Given", "SFT", "SFT seed 11"]


def test_a_row_can_have_a_teacher_of_its_own(make: Make, world: World, tmp_path: Path) -> None:
    teacher = shutil.copytree(world.teacher, tmp_path / "teacher")

    def with_teacher(spec: dict[str, Any]) -> None:
        spec["rows"].append(
            {"label": "Other", "train": {"recipe": "toy/kd", "teacher": str(teacher)}}
        )

    def other(graph: Graph) -> Any:
        return graph.nodes["train Other"]

    graph = make(with_teacher)
    assert other(graph).recipe.settings.teacher == str(teacher)
    assert other(graph).needs == ("checkpoint Student",)  # and not the table's teacher
    # It is evaluated as the others are.
    assert graph.evaluations["Other"].settings.teacher == str(world.teacher)
    before = places(make())
    assert {key: places(graph)[key] for key in before} == before
    config = teacher / "config.json"
    config.write_text(config.read_text("utf-8") + "\n")
    assert other(make(with_teacher)).fingerprint != other(graph).fingerprint
    shutil.rmtree(teacher)
    with pytest.raises(InputError, match=r"^teacher=.*: no such folder"):
        make(with_teacher)


def test_the_tables_own_teacher_changes_nothing(make: Make, world: World) -> None:
    def with_teacher(spec: dict[str, Any]) -> None:
        spec["rows"][1]["train"]["teacher"] = str(world.teacher)

    assert places(make(with_teacher)) == places(make())
    with pytest.raises(InputError, match="a row's own train may name another teacher"):
        make(train__teacher=str(world.teacher))


def test_a_checkpoint_that_a_method_names_counts_by_its_content(
    make: Make, world: World, tmp_path: Path
) -> None:
    classmate = shutil.copytree(world.student, tmp_path / "classmate")

    def with_classmate(spec: dict[str, Any]) -> None:
        keys = {"classmate": "frozen", "classmate_model": str(classmate)}
        spec["rows"].append({"train": {"recipe": "toy/classmate", **keys}})

    def fingerprint() -> str:
        return make(with_classmate).nodes["train Classmate"].fingerprint

    before = fingerprint()
    assert fingerprint() == before
    config = classmate / "config.json"
    config.write_text(config.read_text("utf-8") + "\n")
    assert fingerprint() != before
    shutil.rmtree(classmate)
    with pytest.raises(InputError, match=r"^classmate_model=.*: no such folder"):
        fingerprint()

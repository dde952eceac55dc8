"""Whether a method moved what its idea should: paired by training seed, from results alone."""

import csv
import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from made_runs import put_run
from outcomes import run as command
from scipy import stats

from kdbench.config import MechanismSettings
from kdbench.errors import InputError
from kdbench.filling.mechanism_table import MechanismTable
from kdbench.filling.spec import read_spec
from kdbench.filling.stored_mechanisms import mechanisms
from kdbench.filling.tasks import extra_names, shown_tasks
from kdbench.methods import Mechanism, Method, methods
from kdbench.methods.kd import KD
from kdbench.store.runs import stored_runs

PAIRS = {"KD": [3.0, 3.5, 4.0], "Up": [4.0, 4.6, 4.9], "Down": [2.0, 2.4, 3.1], "Same": [2, 4, 5]}


def method(name: str, measure: str, direction: Any = "up") -> None:
    """Register a method whose idea should move a measure."""
    mechanism = Mechanism(measure, direction, "an idea")
    fields = {"title": name.capitalize(), "mechanism": mechanism, "family": "logits"}
    methods.register(name)(type(name.capitalize(), (KD,), {**fields, "__module__": __name__}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    method("up", "log:gate")
    method("down", "log:gate")
    method("same", "log:gate", "down")

    class Plain(KD):
        title: ClassVar[str] = "Plain"
        mechanism: ClassVar[Mechanism | None] = None
        __module__ = "kdbench.methods.plain"

    methods.register("plain")(Plain)
    others = ["up", "down", "same", "plain"]
    values = {
        "title": "a table",
        "teacher": "nowhere",  # no model is looked at
        "student": "nowhere",
        "train_seeds": 3,
        "rows": [
            {"train": {"method": "kd"}},
            *({"train": {"method": name}, "against": "KD"} for name in others),
        ],
        "evaluate": {"metrics": ["rougeL", "kendall@ref"]},
        "tasks": ["dolly"],
    }
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for label, gates in PAIRS.items():
        for seed, gate in enumerate(gates):
            put(tmp_path / "r", label, seed, gate)
    return tmp_path / "r"


def put(results: Path, label: str, seed: int, gate: float | None, **more: Any) -> None:
    name = more.pop("name", f"{label} {seed}")
    training = {
        "method": label.lower(),
        "samples": 1,
        "seconds": 1.0,
        "seed": seed,
        "recipe": "r",
        "student_tokens": 0,
        "teacher_tokens": 0,
        **({} if gate is None else {"log": {"gate": gate}}),
        **more.pop("training", {}),
    }
    record = {"method": label, "setting": "a table", "training": training}
    means = more.pop("scores", {"dolly": 1.5})
    scores: dict[str, list[float | None]] = {
        task: [mean - 0.5, mean + 0.5] for task, mean in means.items()
    }
    put_run(results, name, scores, **record, **more)


def drawn(file: Path, results: Path) -> MechanismTable:
    return mechanisms(MechanismSettings(table=str(file), results=results))


def test_a_difference_is_paired_by_seed_with_students_interval(file: Path, results: Path) -> None:
    rows = {row.label: row for row in drawn(file, results).rows}
    verdicts = {label: row.verdict for label, row in rows.items()}
    assert verdicts == {
        "Up": "moved as predicted",
        "Down": "moved against",
        "Same": "did not move",
        "Plain": "no mechanism",
    }
    for label in ("Up", "Down", "Same"):
        gaps = np.subtract(PAIRS[label], PAIRS["KD"])
        expected = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        row = rows[label]
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
        assert row.difference == pytest.approx(gaps.mean())
        assert (row.value, row.other) == pytest.approx((np.mean(PAIRS[label]), 3.5))
        assert row.seeds == (0, 1, 2)


def test_only_seeds_that_both_rows_have_count(file: Path, results: Path) -> None:
    put(results, "Up", 7, 99.0)
    put(results, "KD", 8, 99.0)
    (row, *_) = drawn(file, results).rows
    assert (row.seeds, row.value) == ((0, 1, 2), pytest.approx(4.5))


def test_a_missing_number_is_not_measured(file: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    for seed in range(3):
        put(results, "KD", seed, 1.0)
        put(results, "Up", seed, None)
    put(results, "Down", 0, 1.0)
    table = drawn(file, results)
    assert [row.verdict for row in table.rows] == [*["not measured"] * 3, "no mechanism"]
    reasons = [row.reason for row in table.rows]
    shared = "the two rows share fewer than two training seeds"
    assert reasons == ["Up has no log:gate", shared, "Same has no log:gate", ""]
    assert "Up: not measured: Up has no log:gate." in table.render("md").replace("\\", "")


def test_of_a_changed_row_the_newest_recipe_counts(file: Path, results: Path) -> None:
    old = {"created": "2026-01-01T00:00:00+00:00", "training": {"recipe": "old"}}
    for seed in range(5):
        put(results, "Up", seed, -9.0, name=f"old {seed}", **old)
    assert drawn(file, results).rows[0].value == pytest.approx(4.5)


def test_a_metric_is_a_measure_too(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    method("kendall", "kendall@ref")
    values["rows"][1:] = [{"train": {"method": "kendall"}, "against": "KD"}]
    file.write_text(yaml.safe_dump(values))
    for label, shift in (("KD", 0.0), ("Kendall", 0.2)):
        for seed in range(3):
            record: dict[str, Any] = {"method": label, "setting": "a table"}
            record["training"] = {"seed": seed, "recipe": "r", "method": "x", "samples": 1}
            record["training"] |= {"seconds": 1, "student_tokens": 0, "teacher_tokens": 0}
            scores: list[float | None] = [0.1 * seed + shift, 0.3 + shift]
            put_run(tmp_path / "r", f"{label} {seed}", {"dolly": scores}, "kendall@ref", **record)
    (row,) = drawn(file, tmp_path / "r").rows
    assert (row.verdict, row.difference) == ("moved as predicted", pytest.approx(0.2))


def test_a_further_task_is_no_part_of_means(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    values["extra_tasks"] = ["made/later/short.jsonl", "later.jsonl"]
    values["evaluate"]["metrics"] = ["rougeL"]
    method("short", "short:rougeL")
    method("mean", "rougeL")
    values["rows"][1:] = [
        {"train": {"method": name}, "against": "KD"} for name in ("short", "mean")
    ]
    file.write_text(yaml.safe_dump(values))
    for label, shift in (("KD", 0.0), ("Short", 1.0), ("Mean", 0.0)):
        for seed in range(2):
            put(tmp_path / "r", label, seed, 1.0, scores={"dolly": 1.0, "short": 2.0 + shift})
    short, mean = drawn(file, tmp_path / "r").rows
    assert (short.difference, mean.difference, mean.value) == (1.0, 0.0, 1.0)
    spec = read_spec(file)
    assert extra_names(spec) == ("short", "later")
    assert shown_tasks(spec, list(stored_runs(tmp_path / "r"))) == ["dolly"]
    values["rows"][1]["train"]["method"] = "later"
    method("later", "later:rougeL")
    file.write_text(yaml.safe_dump(values))
    later, _ = drawn(file, tmp_path / "r").rows
    assert (later.verdict, later.reason) == ("not measured", "Later has no later:rougeL")


def test_the_table_fits_its_width(file: Path, results: Path) -> None:
    table = drawn(file, results)
    for width in (80, 120):
        lines = table.render("terminal", width).splitlines()
        assert max(map(len, lines)) <= width
    wide, narrow = table.render("terminal", 120), table.render("terminal", 60)
    assert "Losses on logits\n  Up     moved as predicted  log:gate ↑" in wide
    assert "KD 3.5" in wide
    assert "no room for the compared values and 95 % intervals" in narrow
    assert "3 comparisons at the 5 % level, expect about 0.15 that" in table.render("terminal")


def test_forms_for_programs_hold_every_row(file: Path, results: Path) -> None:
    table = drawn(file, results)
    rows = list(csv.DictReader(io.StringIO(table.render("csv"))))
    assert [row["verdict"] for row in rows] == [row.verdict for row in table.rows]
    assert rows[0]["training_seeds"] == "0 1 2"
    assert float(rows[0]["difference"]) == pytest.approx(1.0)
    assert table.render("md").count("| moved as predicted |") == 1
    assert drawn(file, results).render("json") == table.render("json")


def test_the_verb_prints_it(file: Path, results: Path) -> None:
    done = command(["mechanisms", str(file), f"results={results}"])
    assert (done.code, "moved as predicted" in done.out) == (0, True)
    done = command(["mechanisms", str(file), f"results={results}", "format=csv"])
    assert done.out == drawn(file, results).render("csv")
    done = command(["mechanisms", "toy", f"results={results}"])
    assert (done.code, "no row has against:" in done.err) == (2, True)
    done = command(["mechanisms", str(file), "results=nowhere"])
    assert (done.code, "results=nowhere: no such folder" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("measure", "against", "message"),
    [
        ("acceptance", "KD", "add acceptance@student to the metrics of evaluate:"),
        ("kendall@student", "KD", "add kendall@student to the metrics of evaluate:"),
        ("vicuna:rougeL", "KD", "add vicuna to tasks:"),
        ("kendal@ref", "KD", "did you mean 'kendall"),
        ("log:gate", "KDD", "row 'Wrong': against: no other row 'KDD': did you mean 'KD'"),
        ("log:gate", "Wrong", "row 'Wrong': against: no other row 'Wrong'"),
    ],
)
def test_a_mechanism_that_would_not_be_measured_is_refused(
    file: Path, results: Path, measure: str, against: str, message: str
) -> None:
    method("wrong", measure)
    values = yaml.safe_load(file.read_text("utf-8"))
    values["rows"].append({"train": {"method": "wrong"}, "against": against})
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=message):
        drawn(file, results)


def test_a_given_checkpoint_has_no_mechanism(file: Path, results: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    values["rows"].append({"label": "Given", "checkpoint": "x", "against": "KD"})
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match="only a trained row has a mechanism to compare"):
        drawn(file, results)


@pytest.mark.parametrize("row", [{"train": {"method": "kd"}}, {"checkpoint": "x"}])
def test_a_mechanism_without_a_row_to_compare_with_is_refused(
    file: Path, results: Path, row: dict[str, Any]
) -> None:
    mechanism = {"measure": "log:gate", "direction": "up", "idea": "an idea"}
    values = yaml.safe_load(file.read_text("utf-8"))
    values["rows"].append({"label": "Alone", **row, "mechanism": mechanism})
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"row .Alone.: mechanism: .* add against:"):
        drawn(file, results)


def test_a_task_cannot_be_a_further_one_too(file: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    file.write_text(yaml.safe_dump({**values, "extra_tasks": ["dolly"]}))
    with pytest.raises(InputError, match="extra_tasks: 'dolly' is one of tasks: too"):
        read_spec(file)


def test_every_bundled_mechanism_names_an_idea() -> None:
    for name in methods.names():
        kind: type[Method] = methods.get(name)
        assert kind.mechanism is None or kind.mechanism.idea


def test_a_table_can_go_without_mechanisms(file: Path, results: Path) -> None:
    values = yaml.safe_load(file.read_text("utf-8"))
    file.write_text(yaml.safe_dump({**values, "mechanisms": False}))
    with pytest.raises(InputError, match=r"table\.yaml: mechanisms: false: it shows none"):
        drawn(file, results)

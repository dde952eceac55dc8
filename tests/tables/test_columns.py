"""`columns=` shows several metrics in one table, each with its unit, direction and source."""

import csv
import io

import pytest

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.tables import build_table

BASELINES = """
schema: 1
metric: rougeL
columns: [dolly, vicuna]
sources:
  page: {title: A page, url: https://x.org}
settings:
  - id: big-to-small
    title: Big → small, by hand
    teacher: big
    student: small
    rows:
      - {method: GKD, role: student, source: page, certainty: verified, decimals: 2,
         values: {dolly: 24.0, vicuna: 16.0}}
      - {method: half, role: student, source: page, certainty: verified, decimals: 1,
         values: {dolly: 20.0}}
"""
KINDS = {
    "rougeL": ("points", "higher"),
    "acceptance@student": ("rate", "higher"),
    "fkl@teacher": ("nats", "lower"),
    "entropy_ratio@ref": ("ratio", "none"),
}
TWO = ("dolly", "vicuna")


@pytest.fixture
def results(tmp_path):
    (tmp_path / "published.yaml").write_text(BASELINES, encoding="utf-8")
    return tmp_path / "results"


def put(results, name, values, teacher="big", sha=None, version="1", method=None, **more):
    """Store a run with metric values on both tasks; a string is the reason for a missing value.

    A pair has the value of each task.
    """
    folder = RunFolder(results / name / "run-1")
    folder.write_run(
        {
            "model": {"name": name, "sha256": sha or name},
            "method": method,
            "setting": None,
            "protocol": {"name": "minillm"},
            "limit": None,
            "status": "complete",
            "tasks": {},
        }
    )
    for task in TWO:
        metrics = {}
        for key, given in values.items():
            unit, direction = KINDS[key]
            value = given[TWO.index(task)] if isinstance(given, tuple) else given
            reason = value if isinstance(value, str) else None
            number = None if reason else value + (1 if task == "vicuna" else 0)
            metrics[key] = MetricResult(
                *(number, number, number, None, {}, 9),
                unit=unit,
                direction=direction,
                version=version,
                reason=reason,
                **(more if "@" in key else {}),
            )
        of_teacher = {"name": teacher, "sha256": teacher} if teacher else None
        fingerprint = {"task": task, "prompts_sha256": "same"}
        folder.write_task(TaskResult(fingerprint, metrics, {"id": []}, {}, 0, "rougeL", of_teacher))


def draw(results, *columns, **settings):
    settings = {"tasks": TWO, "published": "none", "error": "none", **settings}
    return build_table(
        TableSettings(
            results=results,
            columns=columns,
            baselines=results.parent / "published.yaml",
            **settings,
        )
    )


def shown(table):
    return [[table.text(cell) for cell in row.cells] for g in table.groups for row in g.rows]


def labels(table):
    return [[row.label for row in group.rows] for group in table.groups]


def best(table, column):
    return [
        row.label
        for group in table.groups
        for row in group.rows
        if row.cells[column] is not None and row.cells[column].best
    ]


FULL = {"rougeL": 20.0, "acceptance@student": 0.25, "fkl@teacher": 0.5, "entropy_ratio@ref": 2.0}


def test_a_column_is_a_task_the_average_a_metric_or_both(results):
    put(results, "a", FULL)
    table = draw(results, "dolly", "AVG", "acceptance", "fkl", "vicuna:fkl@teacher")
    titles = ("Dolly ↑", "AVG ↑", "acceptance@student ↑", "fkl@teacher ↓", "Vicuna fkl@teacher ↓")
    assert table.columns == titles
    assert shown(table) == [["20.00", "20.50", "0.750", "1.000", "1.500"]]


def test_every_column_has_its_unit_decimals_and_arrow(results):
    put(results, "a", FULL)
    table = draw(results, "rougeL", "acceptance", "entropy_ratio@ref")
    assert table.columns == ("rougeL ↑", "acceptance@student ↑", "entropy_ratio@ref")
    assert shown(table) == [["20.50", "0.750", "2.50"]]
    notes = table.notes()
    assert notes[:2] == [
        "rougeL (points), acceptance@student (rate) and entropy_ratio@ref (ratio) "
        "are means over Dolly and Vicuna.",
        "↑: higher is better; ↓: lower is better.",
    ]


def test_columns_of_the_same_kind_share_a_note(results):
    put(results, "a", FULL)
    table = draw(results, "dolly", "AVG", "vicuna", "dolly:fkl")
    assert table.notes()[:3] == [
        "Dolly and Vicuna show rougeL (points).",
        "AVG (rougeL, points) is the mean over Dolly and Vicuna.",
        "Dolly fkl@teacher shows fkl@teacher (nats).",
    ]


def test_the_best_row_follows_each_columns_direction(results):
    put(results, "a", FULL)
    put(results, "b", {**FULL, "rougeL": 21.0, "fkl@teacher": 0.6})
    table = draw(results, "rougeL", "fkl", "entropy_ratio@ref")
    assert [best(table, column) for column in range(3)] == [["b"], ["a"], []]


def test_the_teacher_itself_is_never_best(results):
    put(results, "a", FULL)
    put(results, "b", {**FULL, "acceptance@student": 0.3})
    put(results, "big", {**FULL, "acceptance@student": 1.0}, sha="big")
    table = draw(results, "acceptance")
    assert labels(table) == [["big", "a", "b"]]
    assert best(table, 0) == ["b"]


@pytest.mark.parametrize(("bound", "mark"), [("lower", "≥"), ("upper", "≤")])
def test_a_bound_is_marked_and_not_ranked(results, bound, mark):
    put(results, "a", FULL, bound=bound)
    put(results, "b", {**FULL, "acceptance@student": 0.3})
    table = draw(results, "acceptance", "dolly:acceptance", "rougeL")
    assert shown(table)[0] == [f"{mark}0.750", f"{mark}0.250", "20.50"]
    assert best(table, 0) == []
    assert any(note.startswith("≥ and ≤ mark bounds: ") for note in table.notes())
    (row, _) = csv.DictReader(io.StringIO(table.render("csv")))
    assert (row["acceptance@student bound"], row["rougeL bound"]) == (bound, "")
    assert (r"$\geq$0.750" if mark == "≥" else r"$\leq$0.750") in table.render("tex")
    assert r"acceptance@student $\uparrow$" in table.render("tex")


def test_the_row_notes_explain_empty_cells(results):
    why = "student and teacher have different tokenizers"
    put(results, "a", {**FULL, "acceptance@student": why, "fkl@teacher": why})
    put(results, "b", {"rougeL": 30.0}, teacher=None)
    table = draw(results, "rougeL", "acceptance", "fkl")
    assert shown(table) == [["20.50", "", ""], ["30.50", "", ""]]
    notes = [row.note for row in table.groups[0].rows]
    assert notes == [f"acceptance@student, fkl@teacher: {why}", ""]


def test_the_row_notes_name_the_tasks_that_a_mean_lacks(results):
    put(results, "a", {"rougeL": (1.0, "no references")})
    (row,) = draw(results, "rougeL", "dolly").groups[0].rows
    assert row.note == "rougeL of vicuna: no references"


def test_rows_compared_with_different_teachers_never_share_a_group(results):
    put(results, "a", FULL)
    put(results, "b", FULL, teacher="other")
    put(results, "c", {"rougeL": 1.0}, teacher=None)
    assert labels(draw(results, "rougeL", "acceptance")) == [["a", "c"], ["b"]]
    assert labels(draw(results, "rougeL")) == [["a", "b", "c"]]
    table = draw(results, metric="acceptance@student")
    assert labels(table) == [["a"], ["b"]]


def test_metric_versions_separate_groups(results):
    put(results, "a", FULL)
    put(results, "b", FULL, version="2")
    assert labels(draw(results, "rougeL", "acceptance")) == [["a"], ["b"]]


def test_published_rows_fill_the_columns_they_have(results):
    put(results, "a", FULL)
    table = draw(results, "acceptance", "dolly", "AVG", "vicuna:rougeL", published="verified")
    assert labels(table) == [["a"], ["GKD", "half"]]
    assert shown(table)[1:] == [["", "24.00", "20.00", "16.00"], ["", "20.0", "", ""]]
    assert labels(draw(results, "acceptance", published="verified")) == [["a"]]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("doly", "columns=doly: not a task or metric: did you mean 'dolly'"),
        ("acceptence", "columns=acceptence: not a task or metric: did you mean 'acceptance'"),
        ("acceptance@nowhere", "columns=acceptance@nowhere: not a task or metric: "),
        ("rougeL@ref", "columns=rougeL@ref: not a task or metric: "),
        ("doly:rougeL", "columns=doly:rougeL: task 'doly': did you mean 'dolly'"),
        ("dolly:rogueL", "columns=dolly:rogueL: not a task or metric: did you mean 'rougeL'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(results, column, message):
    put(results, "a", FULL)
    with pytest.raises(InputError) as caught:
        draw(results, column)
    assert str(caught.value).startswith(message)


def test_a_metric_that_no_run_has_is_an_empty_column(results):
    put(results, "a", FULL)
    table = draw(results, "rougeL", "rkl")
    assert table.columns == ("rougeL ↑", "rkl@student ↓")
    assert shown(table) == [["20.50", ""]]
    with pytest.raises(InputError, match="no result with columns=rkl"):
        draw(results, "rkl")


def test_without_columns_the_table_is_unchanged(results):
    put(results, "a", {**FULL, "acceptance@student": "why"})
    table = draw(results)
    assert table.columns == ("Dolly", "Vicuna", "AVG")
    assert table.notes()[0] == "Cells show rougeL (points)."
    assert table.groups[0].rows[0].note == ""
    assert "bound" not in table.render("csv")


def test_the_note_names_a_task_without_a_result(results):
    put(results, "a", {"rougeL": 1.0})
    wide = TableSettings(
        results=results, tasks=(*TWO, "unnatural"), columns=("dolly", "rougeL"), published="none"
    )
    assert "rougeL: no result for unnatural (choose the tasks with tasks=)" in str(
        build_table(wide)
    )


def test_a_bare_metric_of_fidelity_means_its_headline_set(results):
    put(results, "a", {"rougeL": 1.0, "acceptance@student": 0.25})
    options = {"results": results, "tasks": TWO, "published": "none"}
    bare, full = (
        str(build_table(TableSettings(**options, metric=name)))
        for name in ("acceptance", "acceptance@student")
    )
    assert bare == full
    assert "0.250" in bare


def test_a_teachers_extra_seed_is_not_a_row(results):
    put(results, "a", {"rougeL": 1.0})
    put(results, "b", {"rougeL": 2.0})
    run = RunFolder(results / "b" / "run-1")
    run.update_run(lambda record: {**record, "auxiliary": True})
    table = build_table(TableSettings(results=results, tasks=TWO, published="none"))
    assert [row.label for group in table.groups for row in group.rows] == ["a"]

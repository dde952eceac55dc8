"""Groups of rows for each category, from the stored score of each prompt."""

from typing import Any

import pytest

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.stats.estimates import corpus_estimate, estimate
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.tables import build_table

LOW, HIGH = [1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]
CATEGORIES = ["b", "a", "b", None]


def put(results, name, scores, categories=CATEGORIES, task="mine"):
    folder = RunFolder(results / name / "run-1")
    record = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}
    protocol = {"name": "minillm"}
    folder.write_run({**record, "model": {"name": name, "sha256": name}, "protocol": protocol})
    more = {"unit": "points", "direction": "higher", "version": "1"}
    metrics = {
        "rougeL": MetricResult(**vars(estimate({1: scores})), **more),
        "distinct_1": MetricResult(**vars(corpus_estimate({1: 0.5}, 4)), **more),
    }
    documents: dict[str, Any] = {"id": list("wxyz"), "rougeL": scores}
    if categories:
        documents["category"] = categories
    fingerprint = {"task": task, "protocol": {"temperature": 1.0}}
    folder.write_task(TaskResult(fingerprint, metrics, documents, {"used": 4}, 0, "rougeL"))


def draw(results, **settings):
    keys = {"tasks": ("mine",), "published": "none", "by": "category", **settings}
    return build_table(TableSettings(results=results, **keys))


def test_each_category_is_a_group_below_that_of_all_prompts(tmp_path):
    put(tmp_path, "low", LOW)
    put(tmp_path, "high", HIGH)
    table = draw(tmp_path)
    starts = ["", "category (none), ", "category a, ", "category b, "]
    assert [group.title for group in table.groups] == [f"{s}protocol minillm" for s in starts]
    values = {
        group.title[:12]: [row.cells[0].value for row in group.rows] for group in table.groups
    }
    assert list(values.values()) == [[25.0, 2.5], [40.0, 4.0], [20.0, 2.0], [20.0, 2.0]]
    of_b = table.groups[3].rows[0].cells[0]
    expected = estimate({1: [10.0, 30.0]}, "points")
    assert (of_b.ci_low, of_b.ci_high, of_b.n) == (expected.ci_low, expected.ci_high, 2)
    assert of_b.best
    assert of_b.sd is None


def test_what_has_no_score_of_each_prompt_is_empty(tmp_path):
    put(tmp_path, "low", LOW)
    table = draw(tmp_path, columns=("rougeL", "distinct_1"))
    assert [group.rows[0].cells[1] is None for group in table.groups] == [False, True, True, True]
    assert "has no score of each prompt" in table.groups[1].rows[0].note


def test_rows_and_tasks_without_a_category(tmp_path):
    put(tmp_path, "low", LOW)
    put(tmp_path, "high", HIGH, ["a", "a", "a", "a"])
    table = draw(tmp_path, rows=("low", "high"))
    labels = {group.title.split(",")[0]: [r.label for r in group.rows] for group in table.groups}
    assert labels["category b"] == ["low"]
    assert labels["category a"] == ["low", "high"]
    put(tmp_path / "other", "low", LOW, None)
    with pytest.raises(InputError, match="by=category: no result of mine has categories"):
        draw(tmp_path / "other")
    with pytest.raises(InputError, match=r"no result of dolly has .*; choose tasks= among mine$"):
        draw(tmp_path, tasks=("dolly",))


def test_an_empty_table_says_what_to_choose(tmp_path):
    put(tmp_path, "low", LOW)
    with pytest.raises(InputError, match="'rougeL'; choose tasks= among mine"):
        draw(tmp_path, tasks=("dolly",), by=None)


def test_a_note_on_a_row_names_the_category_without_numbers(tmp_path):
    put(tmp_path, "low", LOW)
    notes = draw(tmp_path, columns=("rougeL", "distinct_1")).row_notes()
    starts = [note.partition(": distinct_1")[0] for note in notes]
    assert starts == ["low: category (none)", "low: category a", "low: category b"]

"""Columns of cost, from run cards to cells, against hand-computed values."""

from pathlib import Path
from typing import Any

import pytest

from kdbench.config import TableSettings
from kdbench.measuring.identity import training_cost
from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult
from kdbench.tables import build_table


def card(method: str, train: float, sampling: float = 0.0, **tokens: int) -> dict[str, Any]:
    seconds = {"train": train, "generate": sampling, "validate": 99.0, "teacher_responses": 0.0}
    return {
        "training": {"settings": {"method": method, "batch_size": 4}},
        "steps": 5,
        "phases": {
            name: {"seconds": duration, "tokens": tokens.get(name, 0)}
            for name, duration in seconds.items()
        },
    }


def test_cost_is_the_run_cards_without_validation() -> None:
    actual = training_cost(card("gkd", 30.0, 10.0, generate=700, teacher_responses=30))
    assert actual == {
        "method": "gkd",
        "samples": 20,
        "seconds": 40.0,
        "student_tokens": 700,
        "teacher_tokens": 30,
        "seed": None,
        "recipe": actual["recipe"],
    }


@pytest.mark.parametrize("card", [{}, {"method": "GKD"}, {"training": None}, {"phases": {}}])
def test_a_checkpoint_that_was_not_trained_here_has_no_cost(card: dict[str, Any]) -> None:
    assert training_cost(card) is None


def put(
    results: Path,
    name: str,
    method: str | None,
    cost: dict[str, Any] | None,
    teacher: str | None = None,
) -> None:
    folder = RunFolder(results / name / "run")
    folder.write_run(
        {
            "model": {"name": name, "sha256": name},
            "method": method,
            "setting": "s",
            "protocol": {"name": "minillm"},
            "limit": None,
            "status": "complete",
            "tasks": {},
            "training": cost,
        }
    )
    compared = {"name": teacher, "sha256": teacher} if teacher else None
    folder.write_task(TaskResult({"task": "dolly"}, {}, {"id": []}, {}, 0, "rougeL", compared))


def test_cost_in_the_table_is_relative_to_sft(tmp_path: Path) -> None:
    put(tmp_path, "tuned", "SFT", training_cost(card("sft", 400.0)))
    put(tmp_path, "sft", "SFT", training_cost(card("sft", 10.0)))
    gkd = training_cost(card("gkd", 30.0, 10.0, generate=700))
    put(tmp_path, "gkd", "GKD", gkd, teacher="tuned")
    put(tmp_path, "given", None, None)
    columns = ("seconds_per_sample", "relative_cost", "student_tokens", "teacher_tokens")
    table = build_table(
        TableSettings(results=tmp_path, columns=columns, tasks=("dolly",), published="none")
    )
    cells = {
        row.label: [table.text(cell) for cell in row.cells]
        for group in table.groups
        for row in group.rows
    }
    assert cells["GKD (gkd)"] == ["2.00", "4.00", "700", "0"]
    assert cells["SFT (sft)"] == ["0.50", "1.00", "0", "0"]
    assert cells["SFT (tuned)"] == ["20.00", "40.00", "0", "0"]
    assert "given" not in cells  # there is nothing to show
    assert table.columns[1] == "relative_cost ↓"
    assert "relative_cost is the training time per sample divided by that of SFT." in str(table)


@pytest.mark.parametrize(("label", "relative"), [("SFT", "1.00"), ("Fine-tuned", "0.67")])
def test_of_several_fine_tuned_rows_sft_is_the_unit(
    tmp_path: Path, label: str, relative: str
) -> None:
    put(tmp_path, "all", label, training_cost(card("sft", 10.0)))
    put(tmp_path, "half", "Half of the data", training_cost(card("sft", 20.0)))
    settings = TableSettings(
        results=tmp_path, columns=("relative_cost",), tasks=("dolly",), published="none"
    )
    table = build_table(settings)
    (row,) = (row for row in table.rows if row.label == f"{label} (all)")
    assert [table.text(cell) for cell in row.cells] == [relative]

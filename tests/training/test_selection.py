"""Which student is kept, also by a resumed run."""

from pathlib import Path

import pytest

from kdbench.training.selection import StudentSelection, best_folder

VALIDATIONS = [
    {"step": 0.0, "loss": 1.0, "rougeL": 90.0},  # before training: not a candidate
    {"step": 1.0, "loss": 3.0, "rougeL": 20.0},
    {"step": 2.0, "loss": 2.0, "rougeL": 30.0},
    {"step": 3.0, "loss": 2.5, "rougeL": 30.0},
]


def save(folder: str) -> None:
    Path(folder).mkdir()


@pytest.mark.parametrize(("select", "step"), [("loss", 2), ("rougeL", 2), ("last", 3)])
def test_the_best_student_is_kept_and_the_first_of_a_tie(tmp_path, select, step) -> None:
    selection = StudentSelection(select, tmp_path, saves=True)
    for validation in VALIDATIONS:
        selection.add(dict(validation), save)
    assert selection.best == VALIDATIONS[step]
    assert selection.validations == VALIDATIONS
    assert best_folder(tmp_path, step).is_dir()
    assert not list(tmp_path.glob(".*"))


def test_the_student_before_training_is_never_kept(tmp_path) -> None:
    selection = StudentSelection("rougeL", tmp_path, saves=True)
    selection.add(dict(VALIDATIONS[0]), save)
    assert selection.best is None
    assert not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_run_are_replaced(tmp_path) -> None:
    for name in ("best-1", ".best-1.unfinished"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").touch()
    StudentSelection("last", tmp_path, saves=True).add(dict(VALIDATIONS[1]), save)
    assert [path.name for path in tmp_path.iterdir()] == ["best-1"]
    assert not list((tmp_path / "best-1").iterdir())


def test_a_resumed_run_compares_with_the_best_so_far(tmp_path) -> None:
    first = StudentSelection("loss", tmp_path, saves=True)
    for validation in VALIDATIONS[:3]:
        first.add(dict(validation), save)
    resumed = StudentSelection("loss", tmp_path, saves=True)
    resumed.restore(first.state())
    resumed.add(dict(VALIDATIONS[3]), save)
    assert resumed.best == VALIDATIONS[2]
    assert resumed.validations == VALIDATIONS

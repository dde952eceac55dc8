"""The column frontier_gain: the stored gain of the row with the same checkpoints."""

from pathlib import Path
from typing import Any

import pytest
from made_frontiers import put_student
from made_runs import put_run

from kdbench.config import TableSettings, parse
from kdbench.errors import InputError
from kdbench.frontiers.conclude import conclude
from kdbench.store.frontiers import frontier_file, write_frontier
from kdbench.tables import build_table

SEEDS = (10, 11)


def put_row(results: Path, label: str, score: float, seeds: tuple[int, ...] = SEEDS) -> None:
    """Write the runs of a row of a table, one for each training seed."""
    for seed in seeds:
        training = {"method": label.lower(), "samples": 1, "seconds": 1.0, "seed": seed}
        training |= {"recipe": "r", "student_tokens": 0, "teacher_tokens": 0}
        name = label if seed == seeds[0] else f"{label} seed {seed}"
        scores: list[float | None] = [score, score + 1, score + 5]
        put_run(results, name, {"dolly": scores}, method=label, training=training)


def table(results: Path) -> Any:
    words = [f"results={results}", "tasks=dolly", "columns=AVG,frontier_gain", "published=none"]
    return build_table(parse(TableSettings, words))


def cells(drawn: Any) -> dict[str, str]:
    return {row.label: drawn.text(row.cells[1]) for row in drawn.rows}


def test_a_row_has_the_gain_of_its_checkpoints_alone(tmp_path: Path) -> None:
    for label, score in (("SFT", 40.0), ("Better", 43.0), ("Unknown", 41.0)):
        put_row(tmp_path, label, score)
    put_row(tmp_path, "Part", 42.0, seeds=(10,))
    students = [
        put_student(tmp_path, "SFT", seeds=SEEDS),
        put_student(tmp_path, "Better", gain=3, seeds=SEEDS),
        put_student(tmp_path, "Part", gain=3, seeds=SEEDS),
    ]
    record = conclude("t", students, None, tmp_path / "frontier")
    write_frontier(tmp_path, record)
    gain = record.students[1].gain
    assert gain is not None
    drawn = table(tmp_path)
    shown = cells(drawn)
    assert shown.pop("Better") == f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
    assert shown == {"SFT": "", "Unknown": "", "Part": ""}  # one of two trainings is no recipe
    assert (
        "frontier_gain is the mean gain in rougeL (points, positive is better) over the curve of "
        "SFT at equal entropy."
    ) in " ".join(drawn.notes())
    assert drawn.columns[1] == "frontier_gain"  # no arrow: no row is marked as the best untested


def test_without_a_frontier_the_column_is_empty_and_names_the_command(tmp_path: Path) -> None:
    put_row(tmp_path, "SFT", 40.0)
    drawn = table(tmp_path)
    assert cells(drawn) == {"SFT": ""}
    assert "frontier_gain is not measured; run kdbench frontier." in " ".join(drawn.notes())
    frontier_file(tmp_path).parent.mkdir()
    frontier_file(tmp_path).write_text("[]")
    with pytest.raises(InputError, match=r"frontier\.json: damaged"):
        table(tmp_path)

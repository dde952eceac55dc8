"""The means that a run card keeps of the log, and the column that shows them."""

import math
from pathlib import Path

import pytest
from made_runs import put_run

from kdbench.config import TableSettings
from kdbench.distillation.log_means import log_means
from kdbench.errors import InputError
from kdbench.measuring.identity import training_cost
from kdbench.store.folder import RunFolder
from kdbench.tables import build_table

CARD = {
    "training": {"settings": {"method": "kd", "batch_size": 2, "seed": 1}},
    "steps": 3,
    "phases": {"train": {"seconds": 1.0, "tokens": 1}},
}


def test_a_mean_is_over_the_last_quarter_of_the_lines_that_have_the_value() -> None:
    lines = [{"step": step, "epoch": 0.1, "loss": float(step)} for step in range(1, 10)]
    lines[4]["eval_loss"] = 3.0  # one line: it is the last quarter
    lines[7]["gate"], lines[8]["gate"] = 1.0, 4.0
    lines[0]["stage"] = 1
    assert log_means(lines) == {"eval_loss": 3.0, "gate": 4.0, "loss": (8 + 9) / 2}


def test_what_cannot_be_stored_is_left_out() -> None:
    values = [math.nan, math.inf, 1e13, "text", True, None]
    assert log_means([{"a": value} for value in values]) == {}
    assert log_means([]) == {}


def cost(**means: float) -> dict[str, object]:
    known = training_cost({**CARD, "log_means": means} if means else CARD)
    assert known is not None
    return known


def test_a_column_shows_what_the_cards_have(tmp_path: Path) -> None:
    put_run(tmp_path, "a", {"dolly": [1.0, 2.0]}, method="KD", training=cost(loss=0.25, gate=2.0))
    put_run(tmp_path, "old", {"dolly": [1.0, 2.0]}, method="Old", training=cost())
    settings = {"results": tmp_path, "tasks": ("dolly",)}
    table = build_table(TableSettings(**settings, columns=("dolly", "log:loss", "log:gate")))
    cells = {row.label: [table.text(cell) for cell in row.cells[1:]] for row in table.rows}
    assert cells == {"KD (a)": ["0.2500", "2.0000"], "Old (old)": ["", ""]}
    assert table.columns[1:] == ("log:loss", "log:gate")
    assert "log:loss and log:gate are the values' means over the last quarter" in str(table)
    with pytest.raises(InputError, match=r"no run has logged it: did you mean 'log:gate'"):
        build_table(TableSettings(**settings, columns=("log:gates",)))


def test_seeds_are_averaged(tmp_path: Path) -> None:
    for seed, gate in ((1, 1.0), (2, 4.0)):
        training = {**cost(gate=gate), "seed": seed}
        scores = {"dolly": [1.0, 2.0]}
        put_run(tmp_path, f"KD seed {seed}", scores, method="KD", training=training)
    table = build_table(
        TableSettings(results=tmp_path, tasks=("dolly",), columns=("dolly", "log:gate"))
    )
    assert [table.text(row.cells[1]) for row in table.rows] == ["2.5000"]


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    folder = put_run(tmp_path, "a", {"dolly": [1.0]}, training={**cost(), "log": {"loss": "x"}})
    with pytest.raises(InputError, match=r"training.log: must be a mapping of names to numbers"):
        RunFolder(folder).read_whole_run()

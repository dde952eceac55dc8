"""Tables of answers made by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdbench.analyses.answered.read import CELLS, OPTION_KL
from kdbench.store.runs import StoredRun
from tests.analyses.seeded.rows import run, task

FLOOR = {"name": "Teacher", "undistilled": {"name": "SFT"}}
Cells = Sequence[float]
"""Both right, same wrong, only the student, only the teacher, different wrong."""


def answered_run(
    label: str,
    seed: int,
    tasks: Mapping[str, Cells],
    kl: Mapping[str, float] | None = None,
    commands: Sequence[Sequence[str]] = (),
    teacher: Mapping[str, Any] | None = FLOOR,
) -> StoredRun:
    """A run with the cells of its tasks."""
    results = {}
    for name, cells in tasks.items():
        numbers = {cell: float(share) for cell, share in zip(CELLS, cells, strict=True)}
        if kl and name in kl:
            numbers[OPTION_KL] = float(kl[name])
        results[name] = replace(task(name, numbers), teacher=teacher)
    made = run(label, seed, results)
    return replace(made, record={**made.record, "commands": [list(words) for words in commands]})


def answered_runs(
    rows: Mapping[str, Sequence[Cells]], name: str = "sums", **keys: Any
) -> dict[str, dict[int, StoredRun]]:
    """Runs with one task, whose cells are given by row and training seed from 10."""
    return {
        label: {
            seed: answered_run(label, seed, {name: cells}, **keys)
            for seed, cells in enumerate(by_seed, start=10)
        }
        for label, by_seed in rows.items()
    }

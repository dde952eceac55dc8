"""Columns of cost: what the training of a row's checkpoint took, from its run card.

A sample is an example in the batch of an optimiser step, whatever the method does with it.
Validation is left out, since its frequency is not a cost of the method. Seconds are those of the
machine that trained; `relative_cost` divides them by those of supervised fine-tuning in the same
setting, so that SFT is 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.model import Cell
from kdbench.tables.teachers import teacher_folders

_SFT = "SFT"
"""Label of the row of supervised fine-tuning, unless a table names it otherwise."""

COSTS = {
    "seconds_per_sample": ("the training time per sample in seconds", 2),
    "relative_cost": ("the training time per sample divided by that of SFT", 2),
    "student_tokens": ("the number of tokens that the student generated in training", 0),
    "teacher_tokens": ("the number of tokens that the teacher generated for training", 0),
}
"""Description and decimals of each cost."""


@dataclass(frozen=True)
class CostColumn(Column):
    """A column of a cost.

    Attributes:
        sft_seconds: Mean seconds per sample of supervised fine-tuning, by setting.
    """

    sft_seconds: Mapping[str | None, float] = field(default_factory=dict)

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of the sentence that describes the column; it has no plural."""
        predicate = f"is {COSTS[self.metric][0]}"
        return predicate, predicate

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's cost; None if it is not known."""
        value = self._value(run)
        return None if value is None else Cell(value, decimals=COSTS[self.metric][1])

    def reason(self, run: StoredRun) -> str | None:
        """Why the cell of a checkpoint that another tool trained is empty; None for others."""
        cost = run.record.get("training") or {}
        if "card" not in cost or self._value(run) is not None:
            return None
        names = [self.metric] if self.metric.endswith("_tokens") else ["seconds", "samples"]
        missing = [name for name in names if not cost[name]]
        if missing:
            return f"the checkpoint's card has no {' and no '.join(missing)}"
        return "no SFT row of the same setting whose cost is known"

    def _value(self, run: StoredRun) -> float | None:
        """The run's cost, the mean over its trainings; None if that of one is not known."""
        values = [self._value_of_one(training) for training in run.trainings or (run,)]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    def _value_of_one(self, run: StoredRun) -> float | None:
        cost = run.record.get("training")
        if not cost:
            return None
        if self.metric.endswith("_tokens"):
            # Without samples, the run card of a student that learned nothing.
            known = cost[self.metric] is not None and (cost["samples"] or "card" in cost)
            return float(cost[self.metric]) if known else None
        seconds = _seconds_per_sample(cost)
        if self.metric == "seconds_per_sample" or seconds is None:
            return seconds
        sft_seconds = self.sft_seconds.get(run.record["setting"])
        return seconds / sft_seconds if sft_seconds else None


def cost_column(name: str, runs: Sequence[StoredRun]) -> CostColumn:
    """The column of a cost.

    Args:
        name: One of `COSTS`.
        runs: Runs of the table, among them that of SFT. A fine-tuned teacher is not SFT. Of several
            rows that are fine-tuned, one with the label SFT is meant, else their mean.
    """
    teachers = teacher_folders(runs)
    seconds_of: dict[str | None, dict[bool, list[float]]] = {}
    for run in (training for row in runs for training in row.trainings or (row,)):
        cost = run.record.get("training")
        if run.folder in teachers or not cost or cost["method"] != "sft":
            continue
        if (seconds := _seconds_per_sample(cost)) is not None:
            is_named = run.record["method"] == _SFT
            seconds_of.setdefault(run.record["setting"], {}).setdefault(is_named, []).append(
                seconds
            )
    meant = {setting: known.get(True) or known[False] for setting, known in seconds_of.items()}
    sft_seconds = {setting: sum(known) / len(known) for setting, known in meant.items()}
    return CostColumn(name, name, (), False, direction="lower", arrow=True, sft_seconds=sft_seconds)


def _seconds_per_sample(cost: Mapping[str, Any]) -> float | None:
    """The training time per sample; None if it is not known."""
    if not cost["samples"] or cost["seconds"] is None:
        return None
    return float(cost["seconds"] / cost["samples"])

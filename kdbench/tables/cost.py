"""Columns of cost: what the training of a row's checkpoint took, from its run card.

A sample is a row of an optimiser step, whatever a method does with it. Validation is left out: how
often it is done is no cost of a method. Seconds are of the machine that trained; `relative_cost`
divides them by those of supervised fine-tuning in the same setting, and `sft` is 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.model import Cell

COSTS = {
    "seconds_per_sample": ("seconds a training sample", 2),
    "relative_cost": ("seconds a training sample over those of SFT", 2),
    "student_tokens": ("tokens that the student generated in training", 0),
    "teacher_tokens": ("tokens that the teacher generated for training", 0),
}


@dataclass(frozen=True)
class CostColumn(Column):
    """A cost.

    Attributes:
        of_sft: seconds a sample of supervised fine-tuning, by setting.
    """

    of_sft: Mapping[str | None, float] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        """What it shows, for the notes."""
        return f"{self.name}: {COSTS[self.metric][0]}"

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's cost; None where it is not known."""
        value = self._value(run)
        return None if value is None else Cell(value, decimals=COSTS[self.metric][1])

    def _value(self, run: StoredRun) -> float | None:
        cost = run.record.get("training")
        if not cost or not cost["samples"]:
            return None
        if self.metric.endswith("_tokens"):
            return float(cost[self.metric])
        seconds: float = cost["seconds"] / cost["samples"]
        if self.metric == "seconds_per_sample":
            return seconds
        base = self.of_sft.get(run.record["setting"])
        return seconds / base if base else None


def cost_column(word: str, runs: Sequence[StoredRun]) -> CostColumn:
    """The column of a cost.

    Args:
        word: one of `COSTS`.
        runs: all of the table, among which SFT's is looked up.
    """
    of_sft = {
        run.record["setting"]: cost["seconds"] / cost["samples"]
        for run in runs
        if (cost := run.record.get("training")) and cost["method"] == "sft" and cost["samples"]
        if (run.method or "").lower() != "teacher"
    }
    return CostColumn(word, word, (), False, direction="lower", judged=True, of_sft=of_sft)

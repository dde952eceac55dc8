"""A column of the table."""

from dataclasses import dataclass
from typing import Literal

from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun

Direction = Literal["higher", "lower", "none"]
_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}


@dataclass(frozen=True)
class Column:
    """A column: a metric of one task, or its plain mean over several.

    Attributes:
        name: in its title.
        metric: name of the result.
        tasks: whose numbers it rests on.
        mean: whether it is a mean over them.
        unit: of the metric.
        direction: which way is better.
        judged: whether the title tells the direction.
    """

    name: str
    metric: str
    tasks: tuple[str, ...]
    mean: bool
    unit: str = "points"
    direction: Direction = "higher"
    judged: bool = False

    @property
    def title(self) -> str:
        """The header."""
        return self.name + (_ARROWS[self.direction] if self.judged else "")

    @property
    def meaning(self) -> str:
        """What it shows, for the notes."""
        what = f"{self.metric}, {self.unit}"
        if self.name != self.metric:
            what = f"{self.name}: {what}"
        return f"{what}, mean over {', '.join(self.tasks)}" if self.mean else what

    def parts(self, run: StoredRun) -> list[MetricResult | None]:
        """The metric in a run's results, by task; None where there is no such result."""
        results = (run.results.get(task) for task in self.tasks)
        return [None if one is None else one.metrics.get(self.metric) for one in results]

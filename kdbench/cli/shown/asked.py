"""Which of a run's metrics are printed: those that were asked for, else the usual ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.metrics import ALL, HEADLINE, base_of, compares_with_teacher

if TYPE_CHECKING:
    from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class AskedMetrics:
    """The metrics that a verb was asked for.

    Attributes:
        names: Names in `metrics=`.
    """

    names: tuple[str, ...] = ()

    @property
    def are_usual(self) -> bool:
        """Whether the usual metrics are printed."""
        return not self.names or HEADLINE in self.names

    def of_quality(self, results: "Collection[TaskResult]") -> list[str]:
        """The results asked for that need no teacher, in the order of `metrics=`."""
        return [name for name in self._named(results) if not compares_with_teacher(name)]

    def of_fidelity(self, results: "Collection[TaskResult]") -> list[str]:
        """The results asked for that compare with a teacher, in the order of `metrics=`."""
        return [name for name in self._named(results) if compares_with_teacher(name)]

    def _named(self, results: "Collection[TaskResult]") -> list[str]:
        known = list(dict.fromkeys(name for result in results for name in result.metrics))
        return list(dict.fromkeys(name for asked in self.names for name in _meant(asked, known)))


def _meant(asked: str, known: Sequence[str]) -> list[str]:
    """The results that a name in `metrics=` means: `top1` those of all its position sets."""
    if asked == ALL:
        return list(known)
    if asked in known:
        return [asked]
    return [name for name in known if base_of(name) == asked or name.startswith(f"{asked},")]

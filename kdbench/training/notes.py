"""Means of the values that occur between two lines of the log."""

from collections.abc import Mapping


class Notes:
    """Sums values and their counts by name."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float) -> None:
        """Add the sum of `count` values."""
        total_before, count_before = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (total_before + total, count_before + count)

    def take_means(self) -> dict[str, float]:
        """The means over all processes; the sums start again from zero."""
        from accelerate.utils import gather_object

        everywhere = Notes()
        for sums in gather_object([self._sums]):
            for name, (total, count) in sums.items():
                everywhere.add(name, total, count)
        self._sums = {}
        return {name: total / count for name, (total, count) in everywhere._sums.items() if count}

    def means(self) -> dict[str, float]:
        """The means over all processes; the sums stay."""
        kept = self._sums
        means = self.take_means()
        self._sums = kept
        return means

    def state(self) -> dict[str, tuple[float, float]]:
        """All that `restore` needs, ready for JSON."""
        return dict(self._sums)

    def restore(self, state: Mapping[str, tuple[float, float]]) -> None:
        """Continue from a state."""
        self._sums = {name: (total, count) for name, (total, count) in state.items()}

"""Means of what happens between two lines of the log."""

from collections.abc import Mapping


class Notes:
    """Adds up values and their numbers by name."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float) -> None:
        """Add the sum of `count` values."""
        before = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (before[0] + total, before[1] + count)

    def take_means(self) -> dict[str, float]:
        """The means over all processes; the notes begin anew."""
        from accelerate.utils import gather_object

        together = Notes()
        for noted in gather_object([self._sums]):
            for name, (total, count) in noted.items():
                together.add(name, total, count)
        self._sums = {}
        return {name: total / count for name, (total, count) in together._sums.items() if count}

    def state(self) -> dict[str, tuple[float, float]]:
        """All that `restore` needs, JSON-ready."""
        return dict(self._sums)

    def restore(self, state: Mapping[str, tuple[float, float]]) -> None:
        """Go on from a state."""
        self._sums = {name: (total, count) for name, (total, count) in state.items()}

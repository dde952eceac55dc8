"""What a choice does to columns with few values, such as `category`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_MOST_VALUES = 20  # of a column that is counted
_LONGEST = 40  # value, in characters
_BOTH = 2  # values of a column whose two shares are of interest


class ColumnCounts:
    """Counts of the values of columns, among all rows and among those that are kept."""

    def __init__(self) -> None:
        self._all: dict[str, Counter[str]] = {}
        self._kept: dict[str, Counter[str]] = {}
        self._other = set[str]()  # columns that have too many values, or other ones than words

    def add(self, fields: Mapping[str, Any], is_kept: bool) -> None:
        """Count a row."""
        for column, value in fields.items():
            if column in self._other or value is None:
                continue
            if not isinstance(value, str | int) or len(str(value)) > _LONGEST:
                self._forget(column)
                continue
            counts = self._all.setdefault(column, Counter())
            counts[str(value)] += 1
            self._kept.setdefault(column, Counter())[str(value)] += int(is_kept)
            if len(counts) > _MOST_VALUES:
                self._forget(column)

    def _forget(self, column: str) -> None:
        self._other.add(column)
        self._all.pop(column, None)
        self._kept.pop(column, None)

    def figures(self) -> Iterator[tuple[str, float | int]]:
        """Yield how many values of each column are kept, and the share of the rows with each.

        Of a column with two values, also the share of each among the kept rows.
        """
        for column, counts in sorted(self._all.items()):
            if len(counts) < _BOTH:
                continue
            kept = self._kept[column]
            total = sum(kept.values())
            if len(counts) > _BOTH:
                yield f"{column}: values", len(counts)
                yield f"{column}: values kept", sum(1 for count in kept.values() if count)
            for value, count in sorted(counts.items()):
                yield f"{column}={value}: share that is kept", kept[value] / count
                if len(counts) == _BOTH and total:
                    yield f"{column}={value}: share of kept", kept[value] / total

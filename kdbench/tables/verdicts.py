"""The sentence under a table that says in words what the test of its average column found."""

from collections.abc import Mapping, Sequence

from kdbench.tables.column import Column
from kdbench.tables.model import Cell, TableRow, listed
from kdbench.tables.ties import ALPHA, Ties
from kdbench.text import AVERAGE

_MOST_NAMED = 10  # students of one kind in a sentence


def verdict_column(columns: Sequence[Column]) -> int | None:
    """The index of the column that is put in words: the average, else the first mean."""
    means = [i for i, column in enumerate(columns) if column.mean and column.direction != "none"]
    averages = [i for i in means if columns[i].name == AVERAGE]
    return next(iter(averages or means), None)


def verdict(
    rows: Sequence[TableRow],
    column: Column,
    cells: Mapping[int, Cell],
    best: Sequence[int],
    ties: Ties,
) -> str:
    """What the test says of a column; empty if no student could be compared with the best.

    Args:
        rows: Rows of a group.
        column: The column.
        cells: Cells of the ranked rows, by row.
        best: Rows with the best number as printed; the first was compared with the others.
        ties: The test.
    """
    others = [index for index in cells if index not in best]
    p_values = ties.p_values(column, best[0], others)
    if not p_values:
        return ""
    tied = [index for index, p in p_values.items() if p > ALPHA]
    worse = sorted(
        (index for index in p_values if index not in tied),
        key=lambda index: abs(cells[index].value - cells[best[0]].value),
    )
    unpaired = [index for index in others if index not in p_values]
    names = listed([rows[index].label for index in best])
    first, have = rows[best[0]].label, "has" if len(best) == 1 else "have"
    parts = [f"{names} {have} the best mean"]
    if tied:
        are = "is" if len(tied) == 1 else "are"
        parts.append(f"{_named(rows, tied)} {are} not significantly different from {first}")
    if worse:
        gaps = [_gap(rows, column, cells, ties, best[0], index, p_values[index]) for index in worse]
        more = gaps[_MOST_NAMED:]
        shown = [*gaps[:_MOST_NAMED], *([f"{len(more)} more"] if more else [])]
        parts.append(f"{first} is significantly better than {listed(shown)}")
    if worse and not tied and len(best) == 1:
        parts = [parts[-1]]
    if unpaired:
        parts.append(f"{_named(rows, unpaired)} could not be paired by prompt")
    compared = [rows[index] for index in (best[0], *p_values)]
    return f"{column.name}, for {_generality(compared)}: {'; '.join(parts)}."


def _named(rows: Sequence[TableRow], indices: Sequence[int]) -> str:
    names = [rows[index].label for index in indices]
    more = len(names) - _MOST_NAMED
    return listed([*names[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])])


def _gap(
    rows: Sequence[TableRow],
    column: Column,
    cells: Mapping[int, Cell],
    ties: Ties,
    best: int,
    other: int,
    p: float,
) -> str:
    """A worse student and by how much: `SFT by 1.52 [0.65, 2.43]`."""
    decimals = cells[best].decimals
    label, found = rows[other].label, ties.difference(column, best, other)
    if found is None:
        return label
    mean, (low, high) = found
    if mean < 0:  # lower is better
        low, high = -high, -low
    text = f"{label} by {abs(mean):.{decimals}f}"
    # Where interval and test disagree, the words are those of the test.
    if low <= 0:
        return f"{text} (p = {p:.2g})"
    return f"{text} [{low:.{decimals}f}, {high:.{decimals}f}]"


def _generality(rows: Sequence[TableRow]) -> str:
    """Over what the verdict generalises: recipes, if every row has several training seeds."""
    counts = sorted({len(row.training_seeds) for row in rows})
    if counts[0] < 2:
        return "these checkpoints"
    how_many = "–".join(map(str, dict.fromkeys([counts[0], counts[-1]])))
    return f"recipes over {how_many} training seeds"

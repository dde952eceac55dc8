"""`sort=COLUMN`: the rows of each group in the order of a column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdbench.errors import InputError, nearest
from kdbench.metrics import result_name
from kdbench.tables.column import Column
from kdbench.tables.model import Group, TableRow


def sorted_groups(groups: Sequence[Group], columns: Sequence[Column], sort: str) -> list[Group]:
    """Sort the rows of each group; teachers stay on top, and rows without a number come last.

    Args:
        groups: Groups of rows, which keep their order.
        columns: Columns of the rows.
        sort: Name of a column, best rows first; after a minus, in the other direction.

    Raises:
        InputError: No column has the name.
    """
    place = _place(columns, sort)
    descends = (columns[place].direction != "lower") != sort.startswith("-")

    def order(row: TableRow) -> tuple[bool, bool, float]:
        cell = row.cells[place]
        if cell is None:
            return row.ranked, True, 0.0
        return row.ranked, False, -cell.value if descends else cell.value

    return [replace(group, rows=tuple(sorted(group.rows, key=order))) for group in groups]


def _place(columns: Sequence[Column], sort: str) -> int:
    """The index of the column that a name stands for: its title, its task or its metric."""
    places: dict[str, int] = {}
    for index, column in enumerate(columns):
        places.setdefault(column.name, index)
    for index, column in enumerate(columns):
        of_task = column.tasks if not column.mean else ()
        for name in (*of_task, column.metric):
            places.setdefault(name, index)
    name = sort.removeprefix("-")
    known = _known_name(name, places)
    if known is None:
        titles = [column.name for column in columns]
        raise InputError(f"sort={sort}: no such column: {nearest(name, titles)}")
    return places[known]


def _known_name(name: str, places: Mapping[str, int]) -> str | None:
    folded = {known.casefold(): known for known in places}
    if name.casefold() in folded:
        return folded[name.casefold()]
    stored = result_name(name, places)
    return stored if stored in places else None

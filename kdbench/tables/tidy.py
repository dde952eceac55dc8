"""The comparison table as tidy data: one object for each cell, ready for JSON."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from kdbench.tables.model import Cell, ColumnHead, Content, Group, TableRow
from kdbench.text import printable


def tidy_json(table: Content) -> str:
    """A JSON list with an object for each cell; it ends with a newline."""
    return json.dumps(list(tidy_cells(table)), indent=1, ensure_ascii=False) + "\n"


def tidy_cells(table: Content) -> Iterator[dict[str, Any]]:
    """The cells of a table, row by row; one without a number has the value None.

    Args:
        table: The table.
    """
    heads = table.heads or [
        ColumnHead(printable(title.rstrip(" ↑↓")), table.metric, (), table.unit, None)
        for title in table.columns
    ]
    for group in table.groups:
        for row in group.rows:
            for head, cell in zip(heads, row.cells, strict=True):
                yield {**_of_row(group, row), **_of_head(head), **_of_cell(row, cell)}


def _of_row(group: Group, row: TableRow) -> dict[str, Any]:
    return {
        "setting": group.title,
        "setting_id": group.id,
        "row": row.label,
        "kind": row.kind,
        "ranked": row.ranked,
        "source": row.source,
        "note": row.note or None,
        "day": row.day or None,
        "machine": row.machine or None,
        **of_provenance(row),
    }


def of_provenance(row: TableRow) -> dict[str, Any]:
    """Where a row comes from; every value is None for a reported row."""
    names = ("runs", "protocol", "limit", "seeds", "training_seeds", "created", "kdbench_version")
    origin = row.provenance
    facts = {name: getattr(origin, name, None) for name in names}
    commands = None if origin is None else origin.all_commands
    git = None if origin is None else origin.git or None
    recorded = None if origin is None else origin.recorded
    return {**facts, "git": git, "commands": commands, "commands_recorded": recorded}


def _of_head(head: ColumnHead) -> dict[str, Any]:
    return {
        "column": head.name,
        "tasks": list(head.tasks),
        "metric": head.metric,
        "unit": head.unit,
        "direction": head.direction,
    }


def _of_cell(row: TableRow, cell: Cell | None) -> dict[str, Any]:
    names = ("value", "ci_low", "ci_high", "sd", "n", "bound")
    numbers = {name: _finite(getattr(cell, name, None)) for name in names}
    certainty = None if row.kind == "measured" or cell is None else _certainty(cell)
    return {
        **numbers,
        "best": cell is not None and cell.best,
        "verified": certainty and certainty == "verified",
        "certainty": certainty,
    }


def _certainty(cell: Cell) -> str:
    return "unverified" if cell.unverified else "second_hand" if cell.second_hand else "verified"


def _finite(value: Any) -> Any:
    """The value; None for a number that JSON cannot hold."""
    return None if isinstance(value, float) and not isfinite(value) else value

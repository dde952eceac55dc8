"""A table as a data frame, and in a cell of a notebook."""

from typing import TYPE_CHECKING

from kdbench.system.frames import COUNT, DAY, FLAG, NUMBER, TEXT, frame
from kdbench.tables.model import Content

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "setting": TEXT,
    "row": TEXT,
    "kind": TEXT,
    "column": TEXT,
    "value": NUMBER,
    "ci_low": NUMBER,
    "ci_high": NUMBER,
    "sd": NUMBER,
    "n": COUNT,
    "text": TEXT,
    "best": FLAG,
    "ranked": FLAG,
    "verified": FLAG,
    "bound": TEXT,
    "source": TEXT,
    "note": TEXT,
    "day": DAY,
    "machine": TEXT,
}


def table_frame(table: Content) -> "pd.DataFrame":
    """Return the cells of a table that hold a number, one a row, in the table's order.

    Args:
        table: The table; `text` is a cell as it prints, and `column` a title without its arrow.
    """
    columns = [column.rstrip(" ↑↓") for column in table.columns]
    return frame(
        (
            {
                "setting": group.title,
                "row": row.label,
                "kind": row.kind,
                "column": column,
                "value": cell.value,
                "ci_low": cell.ci_low,
                "ci_high": cell.ci_high,
                "sd": cell.sd,
                "n": cell.n,
                "text": table.text(cell),
                "best": cell.best,
                "ranked": row.ranked,
                "verified": None if row.kind == "measured" else not cell.mark,
                "bound": cell.bound,
                "source": row.source,
                "note": row.note or None,
                "day": row.day or None,
                "machine": row.machine or None,
            }
            for group in table.groups
            for row in group.rows
            for column, cell in zip(columns, row.cells, strict=True)
            if cell is not None
        ),
        _COLUMNS,
    )

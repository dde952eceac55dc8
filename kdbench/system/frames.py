"""Rows become a pandas data frame whose columns have fixed types, whatever the rows hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TEXT, COUNT, NUMBER, FLAG, DAY, LIST = "string", "Int64", "float64", "boolean", "day", "object"
"""Types of columns: `string`, `Int64` and `boolean` hold NA where a value is missing, numbers NaN.

A day becomes `datetime64[s]`, and NaT if it is missing or none.
"""


def frame(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> "pd.DataFrame":
    """Return a data frame.

    Args:
        rows: Values by column; a value that a row lacks is missing.
        columns: Types of the columns by name, in order.
    """
    import pandas as pd

    rows = list(rows)
    data = {name: _column([row.get(name) for row in rows], kind) for name, kind in columns.items()}
    return pd.DataFrame(data, columns=list(columns))


def frame_of_values(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return a data frame whose columns have the types of their values; a row has all columns."""
    names = list(rows[0]) if rows else []
    return frame(rows, {name: _kind_of(row[name] for row in rows) for name in names})


def _kind_of(values: Iterable[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    return (
        {str: TEXT, bool: FLAG, int: COUNT}.get(kinds.pop(), NUMBER) if len(kinds) == 1 else NUMBER
    )


def _column(values: list[Any], kind: str) -> Any:
    import pandas as pd

    if kind == DAY:
        days = pd.to_datetime(pd.Series(values, dtype="object"), format="%Y-%m-%d", errors="coerce")
        return days.astype("datetime64[s]")
    return pd.Series(values, dtype=kind)

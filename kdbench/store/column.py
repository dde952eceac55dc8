"""A column of a result: a number for each document, in eight bytes each."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, overload

import numpy as np

_FLOATS = {float, type(None)}
_AT_ONCE = 4096


class NumberColumn(Sequence[float | None]):
    """Numbers that read like a list of floats and None, and are kept in an array.

    Args:
        values: The numbers, shape (n,), NaN for None.
    """

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray):
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> float | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[float | None]: ...

    def __getitem__(self, index: int | slice) -> float | list[float | None] | None:
        if isinstance(index, slice):
            return list(NumberColumn(self.values[index]))
        value = float(self.values[index])
        return None if isnan(value) else value

    def __iter__(self) -> Iterator[float | None]:
        for start in range(0, len(self.values), _AT_ONCE):  # as floats of Python, which are fast
            for value in self.values[start : start + _AT_ONCE].tolist():
                yield None if isnan(value) else value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NumberColumn):
            return np.array_equal(self.values, other.values, equal_nan=True)
        return isinstance(other, list | tuple) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return repr(list(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)


def packed(column: Sequence[Any]) -> Sequence[Any]:
    """The column in an array if it holds floats and None alone; else as it is.

    Whole numbers stay as they are, since they are written without a decimal point.
    """
    if isinstance(column, NumberColumn) or not set(map(type, column)) <= _FLOATS:
        return column
    return NumberColumn(np.array(column, dtype=np.float64))

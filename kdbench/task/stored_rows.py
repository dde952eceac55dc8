"""Rows that stay in a data set of Hugging Face, where they take a fraction of the memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload


class StoredRow(Mapping[str, Any]):
    """A row that is read when a field of it is asked for.

    Args:
        dataset: The data set.
        index: Index of the row.
    """

    __slots__ = ("_dataset", "_index")

    def __init__(self, dataset: Any, index: int):
        self._dataset, self._index = dataset, index

    def __getitem__(self, field: str) -> Any:
        return self._dataset[self._index][field]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dataset.column_names)

    def __len__(self) -> int:
        return len(self._dataset.column_names)


class StoredRows(Sequence[Mapping[str, Any]]):
    """The rows of a data set: whole when they are read in order, else field by field.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Any):
        self._dataset = dataset

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return StoredRow(self._dataset, range(len(self))[index])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._dataset)

    def __len__(self) -> int:
        return len(self._dataset)

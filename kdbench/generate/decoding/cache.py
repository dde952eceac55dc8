"""A key-value cache in which each row has a write position of its own.

transformers' DynamicLayer concatenates, which copies the whole cache for every token. Here the
memory of all rows is allocated once, and the place of a finished row is reused by another row.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class PlacedLayer(DynamicLayer):
    """The keys and values of one layer; the tokens of a row are in its columns from 0 on.

    Args:
        keys: Keys of some prompts, (prompts, heads, length, width), for their shape.
        values: Values of the same prompts, for their shape.
        precision: Of autocast, or None. Under it, keys can be in float32 after their positions are
            applied, and the whole cache would be cast for every token.
        rows: Number of places for rows.
        columns: Number of columns of each row.
        ends: Column into which each row writes next, int64 of shape (rows,). The caller owns the
            tensor and advances it.
    """

    def __init__(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        precision: torch.dtype | None,
        rows: int,
        columns: int,
        ends: torch.Tensor,
    ):
        super().__init__()
        self.dtype, self.device, self.is_initialized = precision or keys.dtype, keys.device, True
        self._ends, self._width = ends, columns
        self._rows = torch.arange(rows, device=keys.device)
        self._keys, self._values = (
            torch.zeros(
                (rows, states.shape[1], columns, states.shape[-1]),
                dtype=precision or states.dtype,
                device=states.device,
            )
            for states in (keys, values)
        )
        self.show(columns)

    def put(self, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Begin new rows in some places.

        Args:
            places: Indices of the places, int64.
            keys: Keys of the new rows' prompts, (places, heads, length, width).
            values: Values of the same prompts.
        """
        length = keys.shape[-2]
        self._keys[places, :, :length] = keys.to(self._keys.dtype)
        self._values[places, :, :length] = values.to(self._values.dtype)

    def show(self, width: int) -> None:
        """Set the number of columns that the next token attends to, including its own."""
        self._width = width
        # Models read the length before they add a token.
        self.keys, self.values = self._keys[:, :, : width - 1], self._values[:, :, : width - 1]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of each row's next token, and return the columns to attend to."""
        self._keys[self._rows, :, self._ends] = key_states[:, :, 0].to(self._keys.dtype)
        self._values[self._rows, :, self._ends] = value_states[:, :, 0].to(self._values.dtype)
        return self._keys[:, :, : self._width], self._values[:, :, : self._width]

    def keep(self, rows: torch.Tensor, ends: torch.Tensor) -> None:
        """Keep these rows only.

        Args:
            rows: Indices of the rows to keep, int64.
            ends: Their write positions, int64.
        """
        self._keys, self._values = self._keys[rows], self._values[rows]
        self._rows, self._ends = self._rows[: len(rows)], ends
        self.show(self._width)

"""A key-value cache in which every row writes into a column of its own.

transformers' DynamicLayer concatenates, that is, copies the whole cache for every token. Here the
room of all rows is taken once, and a row that has finished gives its place to another.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class PlacedLayer(DynamicLayer):
    """The keys and values of one layer; a row's tokens stand in its columns from 0.

    Args:
        keys: of some prompts, (prompts, heads, length, width); for shapes and dtype only.
        values: likewise.
        rows: number of places.
        columns: of each row.
        ends: the column into which each row writes next, int64 of shape (rows,); their owner
            moves them.
    """

    def __init__(
        self, keys: torch.Tensor, values: torch.Tensor, rows: int, columns: int, ends: torch.Tensor
    ):
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._ends, self._width = ends, columns
        self._rows = torch.arange(rows, device=keys.device)
        self._keys, self._values = (
            states.new_zeros(rows, states.shape[1], columns, states.shape[-1])
            for states in (keys, values)
        )
        self.show(columns)

    def put(self, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Begin other rows in some places, with the states of their prompts."""
        length = keys.shape[-2]
        self._keys[places, :, :length] = keys
        self._values[places, :, :length] = values

    def show(self, width: int) -> None:
        """Attend to so many columns at the next token, its own among them."""
        self._width = width
        # Models ask for the length before they add a token.
        self.keys, self.values = self._keys[:, :, : width - 1], self._values[:, :, : width - 1]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the states of each row's next token; return all that is shown."""
        # Under autocast a model's keys and values differ in dtype; a prefill's do no longer.
        self._keys[self._rows, :, self._ends] = key_states[:, :, 0].to(self._keys.dtype)
        self._values[self._rows, :, self._ends] = value_states[:, :, 0].to(self._values.dtype)
        return self._keys[:, :, : self._width], self._values[:, :, : self._width]

    def keep(self, rows: torch.Tensor, ends: torch.Tensor) -> None:
        """Go on with these rows only, and with their ends."""
        self._keys, self._values = self._keys[rows], self._values[rows]
        self._rows, self._ends = self._rows[: len(rows)], ends
        self.show(self._width)

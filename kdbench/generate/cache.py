"""A key-value cache that is written in place.

transformers' DynamicLayer concatenates, that is, copies the whole cache for every token. Here the
room for all tokens of a batch is taken once.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """A DynamicLayer with room for the tokens to come.

    Args:
        layer: the filled layer of a prefill, keys of shape (prompts, heads, length, width).
        rows: int64, which prompt each row continues.
        room: number of tokens to come.
    """

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor, room: int):
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._length = layer.keys.shape[-2]
        self._keys = _with_room(layer.keys, rows, room)
        self._values = _with_room(layer.values, rows, room)
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens; return all."""
        end = self._length + key_states.shape[-2]
        self._keys[..., self._length : end, :] = key_states
        self._values[..., self._length : end, :] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows."""
        self._keys, self._values = self._keys[indices], self._values[indices]
        self._show()

    def _show(self) -> None:
        self.keys = self._keys[..., : self._length, :]
        self.values = self._values[..., : self._length, :]


def _with_room(states: torch.Tensor, rows: torch.Tensor, room: int) -> torch.Tensor:
    _, heads, length, width = states.shape
    roomy = states.new_zeros(len(rows), heads, length + room, width)
    roomy[..., :length, :] = states[rows]
    return roomy


def fan_out(cache: Any, rows: torch.Tensor, room: int) -> None:
    """Continue each prompt of a prefilled cache as one or more rows.

    Args:
        cache: a DynamicCache; changed in place.
        rows: int64, the prompt's index of each row.
        room: number of tokens to come.
    """
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[index] = RoomyLayer(layer, rows, room)
        else:  # sliding windows and recurrent states keep their own kind
            layer.reorder_cache(rows)

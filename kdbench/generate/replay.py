"""A batch that decodes on a GPU: the step is captured once as a CUDA graph, then replayed.

A small model's step is hundreds of short kernels; launched one by one from Python they keep the GPU
waiting. A graph launches them together, but has fixed shapes and addresses: the whole room of the
cache is attended to under a mask, and what moves (column, positions) lives on the device.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from kdbench.generate.decoding import CachedDecoding, Prompts

_ALIGNED = 8  # columns; the attention kernels want their masks so


class ColumnLayer(DynamicLayer):
    """A filled layer whose next column is a number on the device.

    Args:
        layer: keys and values of shape (prompts, heads, length, width).
        rows: int64, which prompt each row continues.
        columns: of the whole room.
        column: where the next states go, int64 of shape (1,); moved by its owner.
    """

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor, columns: int, column: torch.Tensor):
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._column = column
        self.keys = _with_columns(layer.keys, rows, columns)
        self.values = _with_columns(layer.values, rows, columns)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the states of one new token in their column; return all columns."""
        # Under autocast a model's keys and values differ in dtype; a prefill's do no longer.
        self.keys.index_copy_(2, self._column, key_states.to(self.keys.dtype))
        self.values.index_copy_(2, self._column, value_states.to(self.values.dtype))
        return self.keys, self.values


def _with_columns(states: torch.Tensor, rows: torch.Tensor, columns: int) -> torch.Tensor:
    _, heads, length, width = states.shape
    roomy = states.new_zeros(len(rows), heads, columns, width)
    roomy[..., :length, :] = states[rows]
    return roomy


class ReplayedDecoding(CachedDecoding):
    """The decoding of one model on a GPU.

    Rows leave when half have finished: their step has to be captured anew.

    Args:
        model: a transformers model in evaluation mode, for which `can_replay` holds.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: of each row; equal ones are run once.
        room: number of tokens to come.
    """

    leaving_share, runs_ahead = 1 / 2, True

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, room: int):
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False
        super().__init__(model, vocabulary, prompts, room)

    def _fan_out(self, rows: torch.Tensor, room: int) -> None:
        device = self._model.device
        columns = -(-(self._length + room) // _ALIGNED) * _ALIGNED
        self._column = torch.tensor([self._length], device=device)
        self._cache.layers = [
            ColumnLayer(layer, rows, columns, self._column) for layer in self._cache.layers
        ]
        prompt = self._mask[rows, : self._length].bool()
        self._seen = torch.zeros(len(rows), 1, 1, columns, dtype=torch.bool, device=device)
        self._seen[:, 0, 0, : self._length] = prompt
        self._positions = prompt.sum(-1, keepdim=True)
        self._ids = torch.zeros(len(rows), 1, dtype=torch.long, device=device)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; their step is captured anew."""
        self._graph, self._warm = None, False
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]
        self._seen, self._positions = self._seen[rows], self._positions[rows]
        self._ids, self.logits = self._ids[rows], self.logits[rows]

    def advance(self, tokens: torch.Tensor) -> None:
        """Take each row's next token."""
        self._ids.copy_(tokens[:, None])
        if self._graph is None and self._warm and self._ids.is_cuda:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self.logits = self._step()
        if self._graph is None:  # libraries set themselves up in a first, plain step
            self.logits, self._warm = self._step(), True
        else:
            self._graph.replay()

    def _step(self) -> torch.Tensor:
        self._seen.index_fill_(3, self._column, True)
        extra = {"position_ids": self._positions} if "position_ids" in self._accepts else {}
        output = self._model(
            input_ids=self._ids,
            attention_mask=self._seen,
            past_key_values=self._cache,
            use_cache=True,
            **extra,
        )
        self._column.add_(1)
        self._positions.add_(1)
        logits: torch.Tensor = output.logits[:, -1, : self._vocabulary]
        return logits


def can_replay(model: Any) -> bool:
    """Whether a model's step has fixed shapes: full attention only, on a GPU."""
    layers = DynamicCache(config=model.config).layers
    return (
        model.device.type == "cuda"
        and getattr(model, "_can_compile_fullgraph", False)
        and bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
    )

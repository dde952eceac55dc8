"""Continuous batching: the next row of the queue takes the place of a finished one."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from kdbench.generate.decoding.cache import PlacedLayer
from kdbench.generate.decoding.prefill import Prefilled, Prompts, forward, prefill
from kdbench.views.probe import accepts


class PlacedDecoding:
    """The decoding of one model with full attention.

    Args:
        model: transformers model in evaluation mode, for which `can_place` holds.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of all rows of the queue; the first `places` begin.
        places: Largest number of rows that decode together.
        room: Largest number of tokens to come.
    """

    leaving_share, can_replace, runs_ahead = 1 / 8, True, False

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, places: int, room: int):
        self._model, self._vocabulary = model, vocabulary
        places = min(places, len(prompts))
        self._queue = Queue(model, vocabulary, prompts, places)
        columns = max(map(len, prompts)) + room
        self._columns, self._last = self._whole(columns), columns - 1
        # Number of tokens in the cache at each place, on the host and on the device.
        self._lengths = np.zeros(places, dtype=np.int64)
        self._ends = torch.zeros(places, dtype=torch.long, device=model.device)
        self._cache: Any = None
        self.logits: Any = None
        self.replace(range(places), range(places))

    @staticmethod
    def _whole(columns: int) -> int:
        return columns

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin rows of the queue in these places; their logits are those after the prompt."""
        for indices, filled, numbers in self._queue.prefilled(rows):
            at = torch.tensor([places[index] for index in indices], device=self._ends.device)
            prompts = torch.tensor(numbers, device=self._ends.device)
            if self._cache is None:
                self._make_cache(filled)
            for layer, (keys, values) in zip(self._cache.layers, filled.states(), strict=True):
                layer.put(at, keys[prompts], values[prompts])
            self.logits[at] = filled.logits[prompts]
            lengths = filled.mask.sum(-1)[prompts]
            self._ends[at] = lengths
            self._lengths[at.cpu().numpy()] = lengths.cpu().numpy()

    def _make_cache(self, filled: Prefilled) -> None:
        places = len(self._lengths)
        self._cache = DynamicCache(config=self._model.config)
        self._cache.layers = [
            PlacedLayer(layer.keys, layer.values, places, self._columns, self._ends)
            for layer in filled.cache.layers
        ]
        self.logits = filled.logits.new_empty(places, filled.logits.shape[1])

    def advance(self, tokens: torch.Tensor) -> None:
        """Run one step with each row's next token."""
        width = int(self._lengths.max()) + 1
        self._show(width)
        seen = torch.arange(width, device=tokens.device) <= self._ends[:, None]
        logits = forward(
            self._model, tokens[:, None], seen.long(), self._ends[:, None], self._cache
        )
        self.logits = logits[:, : self._vocabulary]
        self._move()

    def _show(self, width: int) -> None:
        for layer in self._cache.layers:
            layer.show(width)

    def _move(self) -> None:
        """Advance the rows; a finished row that is still in its place stays in the last column."""
        self._lengths = np.minimum(self._lengths + 1, self._last)
        self._ends.add_(1).clamp_(max=self._last)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep these rows only."""
        self._lengths = self._lengths[rows.cpu().numpy()]
        self._ends, self.logits = self._ends[rows], self.logits[rows]
        for layer in self._cache.layers:
            layer.keep(rows, self._ends)


class Queue:
    """The prompts of a queue, prefilled in chunks in the order of the rows.

    Args:
        model: transformers model.
        vocabulary: Number of logits to keep.
        prompts: Prompts of all rows; equal prompts, of seeds of one document, are run once.
        places: Number of rows whose prompts are run together.
    """

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, places: int):
        self._model, self._vocabulary = model, vocabulary
        self._distinct = list(dict.fromkeys(prompts))
        number = {prompt: index for index, prompt in enumerate(self._distinct)}
        self._numbers = [number[prompt] for prompt in prompts]
        self._size = math.ceil(places * len(self._distinct) / len(prompts))
        self._at: int | None = None
        self._filled: Prefilled | None = None

    def prefilled(self, rows: Sequence[int]) -> Iterator[tuple[list[int], Prefilled, list[int]]]:
        """Yield the prefilled prompts of some rows, chunk by chunk.

        Args:
            rows: Indices of the rows in the queue, ascending.

        Yields:
            Indices into `rows`, a prefilled chunk, and the number of each row's prompt in it.
        """
        for chunk, group in groupby(
            range(len(rows)), key=lambda index: self._numbers[rows[index]] // self._size
        ):
            indices = list(group)
            numbers = [self._numbers[rows[index]] % self._size for index in indices]
            yield indices, self._chunk(chunk), numbers
        if rows[-1] == len(self._numbers) - 1:  # no row is waiting
            self._filled = None

    def _chunk(self, chunk: int) -> Prefilled:
        if self._filled is None or self._at != chunk:
            self._filled = None  # free its memory first
            start = chunk * self._size
            prompts = self._distinct[start : start + self._size]
            self._at, self._filled = chunk, prefill(self._model, self._vocabulary, prompts)
        return self._filled


def can_place(model: Any) -> bool:
    """Return whether rows can have write positions of their own: full attention only."""
    layers = DynamicCache(config=model.config).layers
    return (
        accepts(model, "position_ids")
        and bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
    )

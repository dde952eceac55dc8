"""Rows that decode in places: one that has finished gives its place to the next of the queue."""

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
        model: a transformers model in evaluation mode, for which `can_place` holds.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: of all rows of the queue; those in the first places begin.
        places: rows that decode at once, at most.
        room: number of tokens to come.
    """

    leaving_share, can_replace, runs_ahead = 1 / 8, True, False

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, places: int, room: int):
        self._model, self._vocabulary = model, vocabulary
        places = min(places, len(prompts))
        self._queue = Queue(model, vocabulary, prompts, places)
        columns = max(map(len, prompts)) + room
        self._columns, self._last = self._whole(columns), columns - 1
        # Of each place: tokens in the cache, for the host and for the device.
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
        for part, filled, which in self._queue.prefilled(rows):
            at = torch.tensor([places[index] for index in part], device=self._ends.device)
            of = torch.tensor(which, device=self._ends.device)
            if self._cache is None:
                self._make_cache(filled)
            for layer, (keys, values) in zip(self._cache.layers, filled.states(), strict=True):
                layer.put(at, keys[of], values[of])
            self.logits[at] = filled.logits[of]
            lengths = filled.mask.sum(-1)[of]
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
        """Take each row's next token."""
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
        """A row that has finished and waits stays in the last column: what it says is not read."""
        self._lengths = np.minimum(self._lengths + 1, self._last)
        self._ends.add_(1).clamp_(max=self._last)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only."""
        self._lengths = self._lengths[rows.cpu().numpy()]
        self._ends, self.logits = self._ends[rows], self.logits[rows]
        for layer in self._cache.layers:
            layer.keep(rows, self._ends)


class Queue:
    """The prompts of rows that wait, prefilled some at a time in the order of the rows.

    Args:
        model: a transformers model.
        vocabulary: of the logits.
        prompts: of all rows; equal ones, which are seeds of one document, are run once.
        places: that rows decode in: so many rows' prompts are run together.
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
        """Prefilled prompts of some rows.

        Yields:
            Which of `rows`, prompts, and for each of these rows the number of its prompt.
        """
        for chunk, part in groupby(
            range(len(rows)), key=lambda index: self._numbers[rows[index]] // self._size
        ):
            some = list(part)
            which = [self._numbers[rows[index]] % self._size for index in some]
            yield some, self._chunk(chunk), which
        if rows[-1] == len(self._numbers) - 1:  # nobody waits
            self._filled = None

    def _chunk(self, chunk: int) -> Prefilled:
        if self._filled is None or self._at != chunk:
            self._filled = None  # its memory first
            start = chunk * self._size
            prompts = self._distinct[start : start + self._size]
            self._at, self._filled = chunk, prefill(self._model, self._vocabulary, prompts)
        return self._filled


def can_place(model: Any) -> bool:
    """Whether rows of one model may stand in columns of their own: full attention only."""
    layers = DynamicCache(config=model.config).layers
    return (
        accepts(model, "position_ids")
        and bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
    )

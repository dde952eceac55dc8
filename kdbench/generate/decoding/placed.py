"""Continuous batching: the next row of the queue takes the place of a finished one."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from kdbench.generate.decoding.attention import grouped
from kdbench.generate.decoding.begun import Begun, begin_prompts
from kdbench.generate.decoding.cache import PlacedLayer
from kdbench.generate.decoding.linears import Linears, linears_of, precision_of_autocast
from kdbench.generate.decoding.prefill import Prompts, forward
from kdbench.views.probe import accepts


class PlacedDecoding:
    """The decoding of one model with full attention.

    Args:
        model: transformers model in evaluation mode, for which `can_place` holds.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of all rows of the queue; the first `places` begin.
        places: Largest number of rows that decode together.
        room: Largest number of tokens to come.
        linears: Returns the linear layers as they run; the default copies their present weights.
    """

    leaving_share, can_replace, runs_ahead = 1 / 8, True, False

    def __init__(
        self,
        model: Any,
        vocabulary: int,
        prompts: Prompts,
        places: int,
        room: int,
        linears: Callable[[], Linears] | None = None,
    ):
        self._model, self._vocabulary = model, vocabulary
        self._linears = linears() if linears else linears_of(model)
        self._takes_mask = takes_mask(model)
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

    @contextmanager
    def _fast(self) -> Iterator[None]:
        """The model as decoding runs it: attention in groups, and copies of weights."""
        with grouped(), self._linears.running():
            yield

    @staticmethod
    def _whole(columns: int) -> int:
        return columns

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin rows of the queue in these places; their logits are those after the prompt."""
        with self._fast():
            for indices, begun, numbers in self._queue.begun(rows):
                self._put([places[index] for index in indices], begun, numbers)

    def _put(self, places: Sequence[int], begun: Begun, numbers: Sequence[int]) -> None:
        """Put prompts, of these numbers in a batch, into places."""
        at = torch.tensor(places, device=self._ends.device)
        prompts = torch.tensor(numbers, device=self._ends.device)
        if self._cache is None:
            self._make_cache(begun)
        for layer, (keys, values) in zip(self._cache.layers, begun.states, strict=True):
            layer.put(at, keys[prompts], values[prompts])
        self.logits[at] = begun.logits[prompts]
        lengths = begun.lengths[prompts]
        self._ends[at] = lengths
        self._lengths[np.array(places)] = lengths.cpu().numpy()

    def _make_cache(self, begun: Begun) -> None:
        places = len(self._lengths)
        self._cache = DynamicCache(config=self._model.config)
        precision = precision_of_autocast(self._model.device.type)
        self._cache.layers = [
            PlacedLayer(keys, values, precision, places, self._columns, self._ends)
            for keys, values in begun.states
        ]
        self.logits = begun.logits.new_empty(places, begun.logits.shape[1])

    def advance(self, tokens: torch.Tensor) -> None:
        """Run one step with each row's next token."""
        width = int(self._lengths.max()) + 1
        self._show(width)
        seen = torch.arange(width, device=tokens.device) <= self._ends[:, None]
        mask = self._added(seen) if self._takes_mask else seen.long()
        with self._fast():
            logits = forward(self._model, tokens[:, None], mask, self._ends[:, None], self._cache)
        self.logits = logits[:, : self._vocabulary]
        self._move()

    def _added(self, seen: torch.Tensor) -> torch.Tensor:
        """A mask to be added to scores, made once for all layers, (rows, 1, 1, columns).

        Args:
            seen: What each row attends to, (rows, columns).
        """
        nothing = torch.zeros(seen.shape, dtype=self._cache.layers[0].dtype, device=seen.device)
        return nothing.masked_fill_(~seen, -torch.inf)[:, None, None]

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
        self._chunk: list[tuple[slice, Begun]] = []

    def begun(self, rows: Sequence[int]) -> Iterator[tuple[list[int], Begun, list[int]]]:
        """Yield the prompts of some rows after the forward pass, batch by batch.

        Args:
            rows: Indices of the rows in the queue, ascending.

        Yields:
            Indices into `rows`, a batch of prompts, and the number of each row's prompt in it.
        """
        for chunk, group in groupby(
            range(len(rows)), key=lambda index: self._numbers[rows[index]] // self._size
        ):
            indices = list(group)
            for part, begun in self._of(chunk):
                numbers = {index: self._numbers[rows[index]] % self._size for index in indices}
                of_part = [i for i, number in numbers.items() if part.start <= number < part.stop]
                if of_part:
                    yield of_part, begun, [numbers[i] - part.start for i in of_part]
        if rows[-1] == len(self._numbers) - 1:  # no row is waiting
            self._chunk = []

    def _of(self, chunk: int) -> list[tuple[slice, Begun]]:
        if self._at != chunk:
            self._chunk = []  # free its memory first
            start = chunk * self._size
            prompts = self._distinct[start : start + self._size]
            self._at = chunk
            self._chunk = list(begin_prompts(self._model, self._vocabulary, prompts))
        return self._chunk


def can_place(model: Any) -> bool:
    """Return whether rows can have write positions of their own: full attention only."""
    layers = DynamicCache(config=model.config).layers
    return (
        accepts(model, "position_ids")
        and bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
    )


def takes_mask(model: Any) -> bool:
    """Return whether a model uses a mask of four dimensions as it is given."""
    return (
        getattr(model, "_can_compile_fullgraph", False)
        and model.config._attn_implementation == "sdpa"
        and not getattr(model.config, "alibi", False)  # computed from a mask of another shape
    )

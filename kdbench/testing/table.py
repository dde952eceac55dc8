"""Views of given states, in place of models."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch

from kdbench.training.chunk import TopK
from kdbench.views.rollout import Batch, Rollout

VOCABULARY, WIDTH, ENDS = 11, 8, 2


class TableView:
    """Random states by layer for each rollout, and a random linear head.

    Args:
        rows: The rollouts.
        seed: Of the numbers.
        layers: Number of layers after the embeddings.
        dtype: Of all tensors.
        order: The order of the vocabulary; None leaves it as it is.

    Attributes:
        shift: Added to all logits.
    """

    vocabulary = VOCABULARY

    def __init__(
        self, rows: Sequence[Rollout], seed: int, layers: int, dtype: torch.dtype, order: Any = None
    ):
        draw = torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)

        self._by_id = {
            row.id: [
                drawn(len(row.response_ids), WIDTH).requires_grad_() for _ in range(layers + 1)
            ]
            for row in rows
        }
        head = drawn(WIDTH, VOCABULARY)
        self.head_weight = (head if order is None else head[:, order]).requires_grad_()
        self.finish = _float if dtype in (torch.bfloat16, torch.float16) else _same
        self.shift = 0.0

    @property
    def leaves(self) -> list[torch.Tensor]:
        """States and head."""
        return [*(layer for row in self._by_id.values() for layer in row), self.head_weight]

    @property
    def head_parameters(self) -> list[torch.Tensor]:
        """The head."""
        return [self.head_weight]

    def autocast(self) -> AbstractContextManager[None]:
        """No other precision."""
        return nullcontext()

    def states(self, batch: Batch) -> torch.Tensor:
        """The last states, (N, H)."""
        return self.read(batch, ())[0]

    def read(
        self, batch: Batch, layers: Collection[int]
    ) -> tuple[torch.Tensor, Mapping[int, torch.Tensor]]:
        """The last states, and those of some layers."""

        def of(layer: int) -> torch.Tensor:
            return torch.cat([self._by_id[row.id][layer] for row in batch.rollouts])

        return of(-1), {layer: of(layer) for layer in layers}

    def raw(self, states: torch.Tensor) -> torch.Tensor:
        """States times head."""
        return states @ self.head_weight + self.shift

    @property
    def linear_head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The head's weights (V, H), detached, and the shift as a bias."""
        weight = self.head_weight.detach().T
        return weight, weight.new_full((VOCABULARY,), self.shift)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """The weights of the tokens in the head, as in a model whose embeddings are tied to it."""
        return self.head_weight.T[tokens]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """The same, float32 at least."""
        return self.finish(self.raw(states))

    def make_extreme(self, ties: bool, size: float = 1e4) -> None:
        """Logits of a size, either way, many of them equal or none."""
        with torch.no_grad():
            for row in self._by_id.values():
                for number, states in enumerate(row):
                    states.zero_()
                    for place in range(len(states)):
                        states[place, (place + number) % WIDTH] = 1
            head = self.head_weight
            head.copy_(size * (head.sign() * (head.abs() > 0.5) if ties else head.tanh()))


class TopKView:
    """The likeliest tokens of another view."""

    def __init__(self, view: TableView, k: int):
        self._view, self._k = view, k

    def states(self, batch: Batch) -> torch.Tensor:
        """The states of the other view."""
        return self._view.states(batch)

    def read(
        self, batch: Batch, layers: Collection[int]
    ) -> tuple[torch.Tensor, Mapping[int, torch.Tensor]]:
        """What the other view reads."""
        return self._view.read(batch, layers)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Never known."""
        raise NotImplementedError

    def top_k(self, batch: Batch) -> TopK:
        """The k likeliest tokens at each position."""
        log_p = self._view.logits(self._view.states(batch)).detach().log_softmax(-1)
        own = log_p.gather(-1, batch.targets[:, None])[:, 0]
        return replace(TopK.of(log_p, self._k), target=own)


def _same(logits: torch.Tensor) -> torch.Tensor:
    return logits


def _float(logits: torch.Tensor) -> torch.Tensor:
    return logits.float()

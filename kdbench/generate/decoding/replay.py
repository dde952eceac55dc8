"""Decoding on a GPU: one step is captured as a CUDA graph, then replayed.

The step of a small model is hundreds of short kernels; the GPU is idle while Python launches them
one by one. A graph launches them together, but its shapes and addresses are fixed: all columns are
attended to under a mask, and everything that changes is on the device.
"""

from collections.abc import Callable
from typing import Any

import torch

from kdbench.generate.decoding.linears import Linears
from kdbench.generate.decoding.placed import PlacedDecoding, can_place, takes_mask
from kdbench.generate.decoding.prefill import Prompts
from kdbench.views.probe import accepts

_ALIGNED = 8  # number of columns; the attention kernels need aligned masks


class ReplayedDecoding(PlacedDecoding):
    """The decoding of one model on a GPU.

    Finished rows are dropped only when they are half of the batch, since the step is then captured
    again.

    Args:
        model: transformers model in evaluation mode, for which `can_replay` holds.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of all rows of the queue; the first `places` begin.
        places: Largest number of rows that decode together.
        room: Largest number of tokens to come.
        linears: Returns the linear layers as they run; the default copies their present weights.
    """

    leaving_share, runs_ahead = 1 / 2, True

    def __init__(
        self,
        model: Any,
        vocabulary: int,
        prompts: Prompts,
        places: int,
        room: int,
        linears: Callable[[], Linears] | None = None,
    ):
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False
        super().__init__(model, vocabulary, prompts, places, room, linears)
        self._ids = torch.zeros(len(self._ends), 1, dtype=torch.long, device=self._ends.device)
        self._column = torch.arange(self._columns, device=self._ends.device)

    @staticmethod
    def _whole(columns: int) -> int:
        return -(-columns // _ALIGNED) * _ALIGNED

    def advance(self, tokens: torch.Tensor) -> None:
        """Start one step with each row's next token; the device may finish it later."""
        self._ids.copy_(tokens[:, None])
        if self._graph is None and self._warm and self._ids.is_cuda:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self.logits = self._step()
        if self._graph is None:  # libraries initialise in a first, plain step
            self.logits, self._warm = self._step(), True
        else:
            self._graph.replay()

    def _step(self) -> torch.Tensor:
        seen = self._column <= self._ends[:, None]
        last = {"logits_to_keep": 1} if accepts(self._model, "logits_to_keep") else {}
        with self._fast():
            output = self._model(
                input_ids=self._ids,
                attention_mask=self._added(seen),
                position_ids=self._ends[:, None],
                past_key_values=self._cache,
                use_cache=True,
                **last,
            )
        self._ends.add_(1).clamp_(max=self._last)
        logits: torch.Tensor = output.logits[:, -1, : self._vocabulary]
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        """Keep these rows only."""
        self._graph, self._warm = None, False
        super().keep(rows)
        self._ids = self._ids[rows]


def can_replay(model: Any) -> bool:
    """Return whether a model's step can be captured: on a GPU, with fixed operations."""
    return (
        model.device.type == "cuda"
        and takes_mask(model)
        and can_place(model)
        and not getattr(model, "is_loaded_in_8bit", False)  # looks for outliers
        and not any(map(_moves_weights, model.modules()))
    )


def _moves_weights(module: Any) -> bool:
    """Whether the weights of a module come and go: accelerate's hooks, or FSDP2."""
    from torch.distributed.fsdp import FSDPModule

    return hasattr(module, "_hf_hook") or isinstance(module, FSDPModule)

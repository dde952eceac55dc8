"""A second head: a head that stays as it is, plus a correction of low rank that trains."""

from functools import cache
from typing import Any

from kdbench.training.parts import Sizes
from kdbench.views.head import after_head
from kdbench.views.view import bare_model


def second_head(sizes: Sizes, rank: int) -> Any:
    """A module with the logits W h + B A h of the student's states, (n, H) to (n, V).

    W does not train: it is 0 until `start_from(model)` copies the head of a model, and is saved
    with the module. A is (rank, H) and B, which begins at 0, (V, rank).
    """
    return _kind()(sizes.widths["student"], sizes.vocabulary, rank)


@cache
def _kind() -> Any:
    """The class, made when torch is needed; a single one, so that a loss compiles once."""
    import torch

    class SecondHead(torch.nn.Module):
        def __init__(self, width: int, vocabulary: int, rank: int) -> None:
            super().__init__()
            self.register_buffer("weight", torch.zeros(vocabulary, width))
            self.register_buffer("bias", torch.zeros(vocabulary))
            self.down = torch.nn.Linear(width, rank, bias=False)
            self.up = torch.nn.Linear(rank, vocabulary, bias=False)
            torch.nn.init.zeros_(self.up.weight)
            self._finish: Any = None

        def start_from(self, model: Any) -> None:
            """Copy a model's head."""
            bare = bare_model(model)
            head, rows = bare.get_output_embeddings(), len(self.bias)
            self._finish = after_head(bare.config)
            with torch.no_grad():
                self.weight.copy_(head.weight[:rows])
                if getattr(head, "bias", None) is not None:
                    self.bias.copy_(head.bias[:rows])

        def forward(self, states: Any) -> Any:
            logits = torch.nn.functional.linear(states, self.weight, self.bias)
            finished = logits if self._finish is None else self._finish(logits)
            return finished + self.up(self.down(states))

    return SecondHead

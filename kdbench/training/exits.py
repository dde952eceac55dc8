"""Exits: what a hidden layer of the student would say, through the student's own head."""

from functools import cache
from typing import TYPE_CHECKING, Any

from kdbench.training.parts import Sizes
from kdbench.views.head import AfterHead, after_head
from kdbench.views.view import bare_model, refuse_divided

if TYPE_CHECKING:
    import torch


_NOTHING = AfterHead(1.0, ())


def exit_map(sizes: Sizes, rank: int) -> Any:
    """A module that makes states of a hidden layer fit for the head, (n, H) to (n, H).

    It is RMSNorm(h + B A h), A (rank, H) and B, which begins at 0, (H, rank).
    """
    return _map_class()(sizes.widths["student"], rank)


@cache
def _map_class() -> Any:
    """The class, made once: a compiled loss is compiled again for another class."""
    import torch

    class ExitMap(torch.nn.Module):
        def __init__(self, width: int, rank: int) -> None:
            super().__init__()
            self.down = torch.nn.Linear(width, rank, bias=False)
            self.up = torch.nn.Linear(rank, width, bias=False)
            self.norm = torch.nn.RMSNorm(width, eps=1e-6)
            torch.nn.init.zeros_(self.up.weight)

        def forward(self, states: Any) -> Any:
            return self.norm(states + self.up(self.down(states)))

    return ExitMap


class StudentHead:
    """The student's head, for other states than its last ones.

    Args:
        student: The student's model.
        vocabulary: Number of tokens V; further columns of the head are cut.
        trains: Whether these states train the head as well.

    Raises:
        InputError: Processes share the head's weights.
    """

    def __init__(self, student: Any, vocabulary: int, trains: bool):
        bare = bare_model(student)
        self._head, self._vocabulary, self._trains = (
            bare.get_output_embeddings(),
            vocabulary,
            trains,
        )
        self._finish = after_head(bare.config)
        refuse_divided(self._head.weight, "the head's weights")

    @property
    def borrowed(self) -> "tuple[torch.Tensor, ...]":
        """The parameters of the student that get a gradient."""
        if not self._trains:
            return ()
        return tuple(parameter for parameter in self._own() if parameter.requires_grad)

    def _own(self) -> "tuple[torch.Tensor, ...]":
        bias = getattr(self._head, "bias", None)
        return (self._head.weight, *(() if bias is None else (bias,)))

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """The logits (n, V) of states (n, H), in the precision of the states."""
        import torch

        own = [p if self._trains else p.detach() for p in self._own()]
        cut = [parameter[: self._vocabulary].to(states.dtype) for parameter in own]
        logits = torch.nn.functional.linear(states, *cut)
        return logits if self._finish == _NOTHING else self._finish(logits)

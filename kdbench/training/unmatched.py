"""Distances of two vocabularies of which some tokens match: sorted probabilities, and one rest."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.views.alignment import TokenClasses

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Side:
    """The tokens of one vocabulary.

    Attributes:
        ids: Those that the other one has too, in the same order, int64 (C,).
        others: All others, int64.
    """

    ids: "torch.Tensor"
    others: "torch.Tensor"


@dataclass(frozen=True)
class Matched:
    """The tokens of two vocabularies, as they match."""

    student: Side
    teacher: Side

    @property
    def share(self) -> float:
        """The share of the teacher's tokens that match."""
        return len(self.teacher.ids) / (len(self.teacher.ids) + len(self.teacher.others))


def matched_of(classes: TokenClasses, device: Any) -> Matched:
    """How the tokens of two vocabularies match.

    Args:
        classes: The tokens that both have.
        device: Of the tensors.
    """
    return Matched(
        _side(classes.student_ids, classes.student_size, device),
        _side(classes.teacher_ids, classes.teacher_size, device),
    )


def _side(ids: tuple[int, ...], size: int, device: Any) -> Side:
    import torch

    known = torch.tensor(ids, dtype=torch.long)
    others = torch.ones(size, dtype=torch.bool).index_fill(0, known, value=False).nonzero()[:, 0]
    return Side(known.to(device), others.to(device))


def sorted_distance(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """Sum of |p - q| over probabilities in descending order; the shorter side has zeros at its end.

    Args:
        log_p: Log-probabilities, (n, V of one side).
        log_q: Log-probabilities, (n, V of the other side).

    Returns:
        Shape (n,), 0 to the sum of both masses.
    """
    from torch.nn.functional import pad

    p, q = (side.exp().sort(dim=-1, descending=True).values for side in (log_p, log_q))
    size = max(p.shape[-1], q.shape[-1])
    p, q = (pad(side, (0, size - side.shape[-1])) for side in (p, q))
    return (p - q).abs().sum(-1)


def with_rest(log_p: "torch.Tensor", side: Side) -> "torch.Tensor":
    """Log-probabilities of the matched tokens and, last, of all others together.

    Args:
        log_p: Log-probabilities, (n, V).
        side: The tokens of this vocabulary.

    Returns:
        Shape (n, C + 1); the last is at least the log of the smallest normal float32.
    """
    import torch

    least = math.log(torch.finfo(torch.float32).tiny)
    rest = log_p.new_full((len(log_p), 1), least)
    if len(side.others):
        rest = log_p[:, side.others].logsumexp(-1, keepdim=True).clamp(min=least)
    return torch.cat([log_p[:, side.ids], rest], -1)


def text_or_not(log_p: "torch.Tensor") -> "torch.Tensor":
    """Log-probabilities of a text and of any other, (n,) to (n, 2)."""
    import torch

    other = (-torch.expm1(log_p.clamp(max=-1e-7))).log()
    return torch.stack([log_p, other], -1)

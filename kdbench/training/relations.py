"""Relations between states: how alike tokens are to each other, whatever the width of the states.

All functions work on n tokens and return a loss of each, (n,); states of student and teacher may
have different widths.
"""

import hashlib
from typing import TYPE_CHECKING, Literal

from kdbench.divergence import forward_kl, reverse_kl

if TYPE_CHECKING:
    import torch

    from kdbench.views.rollout import Batch

KLDirection = Literal["forward", "reverse"]


def sampled_tokens(batch: "Batch", most: int) -> "torch.Tensor":
    """The places of at most so many of a micro-batch's N tokens, int64, in their order.

    They are drawn by a key of the rows' ids, so that a resumed run draws the same.
    """
    import torch

    total = len(batch.targets)
    key = "\0".join(row.id for row in batch.rollouts)
    draw = torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")
    )
    places = torch.randperm(total, generator=draw)[:most].sort().values
    return places.to(batch.device)


def cosine_relations(
    student: "torch.Tensor", teacher: "torch.Tensor", temperature: float, direction: KLDirection
) -> "torch.Tensor":
    """KL between the softmaxes of each token's cosines to the others, divided by a temperature."""
    import torch

    def log_softmax(states: "torch.Tensor") -> "torch.Tensor":
        unit = torch.nn.functional.normalize(states, dim=-1)
        # Each token's own cosine, which is 1, is left out: (n, n) to (n, n-1).
        size = len(unit)
        others = ~torch.eye(size, dtype=torch.bool, device=unit.device)
        return ((unit @ unit.T)[others].view(size, size - 1) / temperature).log_softmax(-1)

    if len(student) < 2:  # a token alone has no relation
        return student.sum(-1) * 0.0
    return _kl(log_softmax(teacher), log_softmax(student), direction)


def neighbour_relations(
    student: "torch.Tensor",
    teacher: "torch.Tensor",
    neighbours: int,
    spread: float,
    direction: KLDirection,
) -> "torch.Tensor":
    """KL between the softmaxes of A_ij = exp(-‖f_i-f_j‖²/(2s)) for i's nearest j, and 0 else.

    The softmax gives e^0 to each token that is no neighbour, so with many tokens both are nearly
    uniform. Of equally near tokens the first is taken.
    """

    def log_softmax(states: "torch.Tensor") -> "torch.Tensor":
        import torch

        squares = states.square().sum(-1)
        distances = (squares[:, None] + squares - 2 * states @ states.T).clamp(min=0)
        own = torch.eye(len(states), dtype=torch.bool, device=states.device)
        order = distances.detach().masked_fill(own, torch.inf).argsort(dim=-1, stable=True)
        near = torch.zeros_like(own).scatter(-1, order[:, : min(neighbours, len(own) - 1)], True)
        return ((-distances / (2 * spread)).exp() * near).log_softmax(-1)

    if len(student) < 2:
        return student.sum(-1) * 0.0
    return _kl(log_softmax(teacher), log_softmax(student), direction)


def inner_relations(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """Squared difference of the row softmaxes of F Fᵀ/√D, mean over each row."""

    def softmax(states: "torch.Tensor") -> "torch.Tensor":
        return (states @ states.T / states.shape[-1] ** 0.5).softmax(-1)

    return (softmax(student) - softmax(teacher)).square().mean(-1)


def same_token_loss(
    projected: "torch.Tensor", teacher: "torch.Tensor", temperature: float
) -> "torch.Tensor":
    """InfoNCE: minus the log of the share of a token's own teacher state among all of them.

    Similarities are cosines, divided by the temperature; both sides have one width.
    """
    import torch

    unit = torch.nn.functional.normalize
    similar = unit(projected, dim=-1) @ unit(teacher, dim=-1).T / temperature
    return -similar.log_softmax(-1).diagonal()


def _kl(log_p: "torch.Tensor", log_q: "torch.Tensor", direction: KLDirection) -> "torch.Tensor":
    return (forward_kl if direction == "forward" else reverse_kl)(log_p, log_q)

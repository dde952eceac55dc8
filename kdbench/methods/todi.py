"""ToDi: forward or reverse KL for each token of the vocabulary.

Paper: arXiv 2505.16297; notes on it were read, no code.
Objective: sum over v of a_v p_v log(p_v/q_v) + (1-a_v) q_v log(q_v/p_v), a_v = p_v/(p_v+q_v),
    constant. Its value is always KL(p‖q) + KL(q‖p), as a p - (1-a) q = p - q; only the gradient
    differs.
Data: the dataset's responses.
"""

from typing import TYPE_CHECKING, ClassVar

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple

if TYPE_CHECKING:
    import torch


class TokenWise(Objective):
    """Forward KL where the teacher's probability is larger, reverse KL where the student's is."""

    takes_top_k = True

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The sum over the vocabulary."""
        log_p, log_q = chunk.pair("teacher")
        share = (log_p - log_q).detach().sigmoid()
        gap = (log_p - log_q).masked_fill(log_p == -float("inf"), 0.0)
        p, q = log_p.exp(), log_q.exp()
        return (share * p * gap - (1 - share) * q * gap).sum(-1)

    def __str__(self) -> str:
        return "token_wise_kl"


@methods.register("todi")
class ToDi(Method):
    """Forward and reverse KL, weighted for each token of the vocabulary."""

    title: ClassVar[str] = "ToDi"
    paper: ClassVar[str] = "arXiv 2505.16297"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "a sharper student at equal agreement"
    )

    def triple(self) -> Triple:
        """The token-wise divergence on the dataset."""
        return Triple(TokenWise())

"""BiLD: the differences between the likeliest tokens' logits, led by the teacher and the student.

Paper: BiLD and its public code (fpcsong/BiLD); `direction=reverse` with `tokens=knee` is the DBiLD
    loss of Switch-KD (arXiv 2604.14629), of which the README was read. Switch-KD's visual switch
    has no form for text, so its published gains do not apply here.
Objective: for the leader's `tokens` likeliest tokens in its order, d(z) = (z_i - z_j)/T for all
    i < j; KL(softmax d(z_p) ‖ softmax d(z_q)), or reversed, summed over both leaders. It is no
    divergence of p and q: it is also 0 where only these logits agree.
Data: the dataset's responses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple

if TYPE_CHECKING:
    import torch

_AT_LEAST, _AT_MOST = 3, 50  # of the knee; two tokens have one difference, whose softmax is 1
Tokens = int | Literal["knee"]


@dataclass(frozen=True)
class LogitDifferences(Objective):
    """KL between softmaxes of pairwise differences of logits."""

    tokens: Tokens = 8
    temperature: float = 3.0
    direction: Literal["forward", "reverse"] = "forward"

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The sum over both leaders."""
        teacher, student = chunk.view_logits("teacher"), chunk.logits
        return self._led(teacher, teacher, student) + self._led(student, teacher, student)

    def _led(
        self, leader: "torch.Tensor", teacher: "torch.Tensor", student: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        count = _AT_MOST if self.tokens == "knee" else int(self.tokens)
        top = leader.detach().topk(min(count, leader.shape[-1]), dim=-1)
        first, second = torch.triu_indices(*2 * (top.indices.shape[-1],), offset=1)
        hidden = (
            second.to(leader.device) >= knee(top.values)[:, None]
            if self.tokens == "knee"
            else torch.zeros_like(second, dtype=torch.bool, device=leader.device)[None]
        )

        def of(logits: "torch.Tensor") -> "torch.Tensor":
            chosen = logits.gather(-1, top.indices)
            differences = (chosen[:, first] - chosen[:, second]) / self.temperature
            # Far below all others, so that both sides stay finite.
            return differences.masked_fill(hidden, -1e4).log_softmax(-1)

        sides = (of(teacher), of(student))
        return forward_kl(*(sides if self.direction == "forward" else sides[::-1]))

    def __str__(self) -> str:
        return f"logit_differences({self.direction}, tokens={self.tokens})"


def knee(falling: "torch.Tensor") -> "torch.Tensor":
    """How many values lie before the knee of a falling curve (Kneedle, Satopaa et al. 2011).

    With ranks x and values v' both scaled to 0 to 1, it is where 1 - x - v' is largest.

    Args:
        falling: Values in falling order, (n, k).

    Returns:
        The number of values up to the knee, int64 (n,), 3 at least.
    """
    import torch

    last = falling[:, -1:]
    scaled = (falling - last) / (falling[:, :1] - last).clamp(min=1e-12)
    ranks = torch.linspace(0, 1, falling.shape[-1], device=falling.device, dtype=falling.dtype)
    return ((1 - ranks - scaled).argmax(-1) + 1).clamp(min=_AT_LEAST)


@methods.register("bild")
class BiLD(Method):
    """The differences of the likeliest tokens' logits, led by teacher and student."""

    title: ClassVar[str] = "BiLD"
    paper: ClassVar[str] = "Li et al. 2024, BiLD"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "kendall@ref", "up", "the order of the teacher's likeliest tokens"
    )
    tokens: Annotated[int, Field(ge=_AT_LEAST)] | Literal["knee"] = Field(
        8, description="number of likeliest tokens, 3 or more; knee: as far as the logits' knee"
    )
    temperature: float = Field(3.0, gt=0, description="divides the differences")
    direction: Literal["forward", "reverse"] = Field("forward", description="direction of the KL")

    def triple(self) -> Triple:
        """The differences on the dataset."""
        return Triple(LogitDifferences(self.tokens, self.temperature, self.direction))

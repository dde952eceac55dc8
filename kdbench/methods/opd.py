"""On-policy distillation by sampled tokens.

Source: Thinking Machines Lab 2025, "On-Policy Distillation"; the loss of tinker-cookbook.
Objective: -A log q(y) with A = log p(y) - log q(y), detached: the policy gradient of the reverse KL
    of one token (discount 0), which needs the teacher's log-probability of the sampled token alone.
Data: fresh student samples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kdbench.methods import Method, methods
from kdbench.training import Chunk, FromStudent, Objective, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SampledReverseKL(Objective):
    """-(log p(y) - log q(y)), detached, times log q(y)."""

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Its value is a score, its gradient that of KL(q‖p) in expectation."""
        log_q = chunk.of_target(chunk.log_q)
        advantage = (chunk.of_target(chunk.log_p) - log_q).detach()
        return -advantage * log_q

    def __str__(self) -> str:
        return "sampled_reverse_kl"


@methods.register("opd")
class OPD(Method):
    """Sampled-token reverse KL on student responses."""

    title: ClassVar[str] = "OPD"
    paper: ClassVar[str] = "Thinking Machines Lab 2025"
    cost: ClassVar[str] = "teacher forward, student generation"
    plain_sampling: ClassVar[bool] = True

    def triple(self) -> Triple:
        """The policy gradient alone."""
        return Triple(SampledReverseKL(), FromStudent())

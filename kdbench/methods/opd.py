"""On-policy distillation by sampled tokens.

Source: Thinking Machines Lab 2025, "On-Policy Distillation"; the loss of tinker-cookbook.
Objective: -A log q(y) with A = log p(y) - log q(y), detached. This is the policy gradient of the
    reverse KL of a single token (discount 0); of the teacher it needs only log p(y).
Data: new student samples. Each is used once, so there is no importance ratio.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromStudent, Objective, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SampledReverseKL(Objective):
    """-A log q(y), A = log p(y) - log q(y), detached."""

    weighs_rollouts = True
    takes_top_k = True  # log p(y) is known beside the likeliest tokens

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """A loss whose gradient is that of KL(q‖p) in expectation; its value has no meaning."""
        log_q = chunk.of_target(chunk.log_q)
        advantage = (chunk.target_log_prob() - log_q).detach()
        return -advantage * log_q

    def __str__(self) -> str:
        return "sampled_reverse_kl"


@methods.register("opd")
class OPD(Method):
    """Sampled-token reverse KL on student responses."""

    title: ClassVar[str] = "OPD"
    paper: ClassVar[str] = "Thinking Machines Lab 2025"
    cost: ClassVar[str] = "teacher forward, student generation"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "authors' post and code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    plain_sampling: ClassVar[bool] = True

    def triple(self) -> Triple:
        """The policy gradient on student samples."""
        return Triple(SampledReverseKL(), FromStudent())

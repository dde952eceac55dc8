"""DistiLLM: skew divergences with an adaptive off-policy source.

Paper: Ko et al. 2024 (arXiv 2402.03898); constants from its public code.
Objective: `direction=reverse`: KL(q ‖ (1-α) p + α q); `forward`: KL(p ‖ α p + (1-α) q); α = `skew`.
    The authors use forward for GPT-2 base and reverse for all larger models.
Data: student samples with probability `threshold`, which rises by `increment` whenever the
    validation loss has risen by `tolerance`; most samples come from a replay buffer, more so over
    time. With `threshold=0` no response is sampled until the validation loss has risen.
The paper's loss on plain texts is `pretraining=FILE`. The authors' code also has cross-entropy on
    student samples, which users report to collapse the student; it is not available here.
"""

from typing import ClassVar, Literal

from pydantic import Field

from kdbench.divergence import skew_kl, skew_reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import FromReplay, Match, RisingThreshold, Triple


@methods.register("distillm")
class DistiLLM(Method):
    """Skew KL with an adaptive share of replayed student responses."""

    title: ClassVar[str] = "DistiLLM"
    paper: ClassVar[str] = "Ko et al. 2024, arXiv 2402.03898"
    cost: ClassVar[str] = "teacher forward, student generation in few steps"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "paper and authors' code"
    direction: Literal["forward", "reverse"] = Field(
        "reverse", description="direction of the skew KL"
    )
    skew: float = Field(0.1, ge=0, lt=1, description="α, share of the opposite side in the mixture")
    threshold: float = Field(0.0, ge=0, le=1, description="initial share of student batches")
    tolerance: float = Field(0.1, ge=0, description="rise of the validation loss that counts, nats")
    increment: float = Field(0.1, ge=0, le=1, description="rise of the threshold")
    capacity: int = Field(1000, ge=1, description="rollouts in the replay buffer of each process")

    def triple(self) -> Triple:
        """The skew divergence on replayed or new student samples, or the dataset."""
        divergence = (
            Match(skew_kl, {"teacher_weight": self.skew})
            if self.direction == "forward"
            else Match(skew_reverse_kl, {"student_weight": self.skew})
        )
        schedule = RisingThreshold(self.threshold, self.tolerance, self.increment)
        return Triple(divergence, FromReplay(self.capacity), schedule)

"""Word-level knowledge distillation by forward KL.

Paper: Hinton et al. 2015 (arXiv 1503.02531), token by token as in Sanh et al. 2019.
Objective: (1-r) CE + r T² KL(p_T‖q_T) with p_T = softmax(z_teacher / T). MiniLLM's baseline has
    r = 0.5 and DistiLLM's r = 1; neither has a temperature. With `teacher_noise` σ, z_teacher + σ ε
    with ε standard normal stands for z_teacher, an ablation of Ramesh et al. 2025 (2505.15442).
Data: the dataset's responses.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import CrossEntropy, Match, Term, Triple
from kdbench.training.noise import NoisyMatch


@methods.register("kd")
class KD(Method):
    """Forward KL to the teacher on the dataset, mixed with cross-entropy."""

    title: ClassVar[str] = "KD"
    paper: ClassVar[str] = "Hinton et al. 2015, arXiv 1503.02531"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "baselines"
    basis: ClassVar[str] = "paper"
    kd_ratio: float = Field(0.5, ge=0, le=1, description="r, weight of the divergence; CE has 1-r")
    temperature: float = Field(1.0, gt=0, description="divides both logits in the divergence")
    teacher_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of Gaussian noise on the teacher's logits, for ablations; "
        "it depends on the example and the place in its response alone",
    )

    def triple(self) -> Triple:
        """Both terms on the dataset."""
        divergence = Match(forward_kl, temperature=self.temperature)
        if self.teacher_noise:
            divergence = NoisyMatch(
                forward_kl, temperature=self.temperature, noise=self.teacher_noise
            )
        terms = [Term(CrossEntropy(), 1 - self.kd_ratio), Term(divergence, self.kd_ratio)]
        return Triple([term for term in terms if term.weight])

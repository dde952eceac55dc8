"""Reverse KL on the dataset, token by token.

Paper: Wen et al. 2023 (arXiv 2307.15190), who compare f-divergences. It is not MiniLLM, which is
    on-policy, though some tables call it that.
Objective: KL(q‖p).
Data: the dataset's responses, as in the loss-only baselines of DistiLLM and ABKD. Wen et al. train
    on student samples and on targets; for student samples use `gkd` with `student_fraction=1` and
    `teacher_weight=1`.
"""

from typing import ClassVar

from kdbench.divergence import reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple


@methods.register("rkl")
class RKL(Method):
    """Reverse KL to the teacher on the dataset."""

    title: ClassVar[str] = "RKL"
    paper: ClassVar[str] = "Wen et al. 2023, arXiv 2307.15190"
    cost: ClassVar[str] = "teacher forward"

    def triple(self) -> Triple:
        """Reverse KL on the dataset."""
        return Triple(Match(reverse_kl))

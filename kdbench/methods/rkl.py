"""Reverse KL on the dataset, token by token.

Paper: Wen et al. 2023 (arXiv 2307.15190) compare it as one of the f-divergences. It is not
    MiniLLM, which is on-policy, though some tables call it so.
Objective: KL(q‖p).
Data: the dataset's responses.
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
        """Reverse KL alone."""
        return Triple(Match(reverse_kl))

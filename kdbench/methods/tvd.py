"""Total variation distance on the dataset.

Paper: Wen et al. 2023 (arXiv 2307.15190).
Objective: half the sum of |p - q|. One minus it is the acceptance rate of speculative decoding, so
    this trains directly for acceptance.
Data: the dataset's responses, as in the loss-only baselines of DistiLLM and ABKD. Wen et al. train
    on student samples and on targets.
"""

from typing import ClassVar

from kdbench.divergence import total_variation
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple


@methods.register("tvd")
class TVD(Method):
    """Total variation distance to the teacher on the dataset."""

    title: ClassVar[str] = "TVD"
    paper: ClassVar[str] = "Wen et al. 2023, arXiv 2307.15190"
    cost: ClassVar[str] = "teacher forward"

    def triple(self) -> Triple:
        """The distance on the dataset."""
        return Triple(Match(total_variation))

"""Total variation distance on the dataset.

Paper: Wen et al. 2023 (arXiv 2307.15190).
Objective: half the sum of |p - q|; one minus it is the acceptance rate, so this trains directly for
    speculative decoding.
Data: the dataset's responses.
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
        """The distance alone."""
        return Triple(Match(total_variation))

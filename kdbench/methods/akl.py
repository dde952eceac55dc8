"""Adaptive KL: forward KL weighted by the head of the distribution, reverse KL by its tail.

Paper: Wu et al. 2024 (arXiv 2404.02657).
Objective: g_h/(g_h+g_t) KL(p‖q) + g_t/(g_h+g_t) KL(q‖p); see `kdbench.divergence.adaptive_kl`.
    `head_mass` is μ in the paper. The token with which the head would pass it is in the tail, as in
    the authors' code; DSKD's code sorts the tokens the other way round, which is `boundary=head`.
Data: the dataset's responses.
"""

from typing import ClassVar, Literal

from pydantic import Field

from kdbench.divergence import adaptive_kl
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple


@methods.register("akl")
class AKL(Method):
    """Adaptive mixture of forward and reverse KL on the dataset."""

    title: ClassVar[str] = "AKL"
    paper: ClassVar[str] = "Wu et al. 2024, arXiv 2404.02657"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper and authors' code"
    head_mass: float = Field(
        0.5, ge=0, le=1, description="μ, largest probability mass of the teacher in the head"
    )
    boundary: Literal["tail", "head"] = Field(
        "tail",
        description="where the token belongs that passes head_mass; tail as the authors have it, "
        "head as DSKD",
    )

    def triple(self) -> Triple:
        """The divergence on the dataset."""
        options: dict[str, float | str] = {"head_mass": self.head_mass}
        if self.boundary != "tail":
            options["boundary"] = self.boundary
        return Triple(Match(adaptive_kl, options))

"""A hidden layer of the student, through a projector, toward one of the teacher.

Paper: Romero et al. 2015 (FitNets, arXiv 1412.6550), on a transformer's layers.
Objective: KL(p‖q) + `weight` (1 - cos(W h, H)), h and H the states of a middle layer each.
Parts: the projector W, which the finished student does not have.
Data: the dataset's responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

import kdbench
from kdbench.methods import Method
from kdbench.training import Chunk, Match, Objective, Part, Sizes, Term, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Near(Objective):
    """1 - cos of the projected states and the teacher's."""

    views = ()
    hidden: ClassVar[Mapping[str, tuple[int, ...]]] = {"student": (1,), "teacher": (2,)}
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """1 - cos(W h, H)."""
        from torch.nn.functional import cosine_similarity as cosine

        projected = chunk.parts["projector"](chunk.hidden("student", 1))
        return 1 - cosine(projected, chunk.hidden("teacher", 2))

    def __str__(self) -> str:
        return "near"


def projector(sizes: Sizes) -> "torch.nn.Module":
    """A linear map from the student's width to the teacher's."""
    import torch

    return torch.nn.Linear(sizes.widths["student"], sizes.widths["teacher"])


@kdbench.register("projector")
class Projector(Method):
    """Forward KL, and a hidden layer toward the teacher's."""

    title: ClassVar[str] = "Projector"
    paper: ClassVar[str] = "Romero et al. 2015, arXiv 1412.6550"
    cost: ClassVar[str] = "teacher forward"
    weight: float = Field(1.0, ge=0, description="weight of the distance of states")

    def triple(self) -> Triple:
        """Both terms on the dataset."""
        terms = [Term(Match()), Term(Near(), self.weight)]
        return Triple(terms, parts={"projector": Part(projector)})

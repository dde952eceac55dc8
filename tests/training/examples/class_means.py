"""Attraction to class means: the student's states move to those of the teacher's classes.

The preparation finds the mean of the teacher's last states before each next token that occurs, and
their first principal directions. Objective: cross-entropy + weight · ½‖A h_S - P mean_T(y)‖², with
the directions P and a projector A of the student's states, which trains with it.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field

from kdbench.methods import Method, methods
from kdbench.training import Chunk, CrossEntropy, Objective, Part, Preparation, Term, Triple


class ToClassMean(Objective):
    """Half the squared distance to the mean of the next token's class, in a few directions."""

    views = ()
    hidden: ClassVar[Mapping[str, tuple[int, ...]]] = {"student": (-1,)}
    floor = None

    def begin(self, context):
        """Find what was prepared."""
        self.targets = context.statistics["means"] @ context.statistics["pca"]

    def token(self, chunk: Chunk) -> torch.Tensor:
        """½‖A h - P mean‖²."""
        projected = chunk.parts["projector"](chunk.hidden("student", -1))
        return (projected - self.targets[chunk.targets]).square().sum(-1) / 2

    def __str__(self) -> str:
        return "to_class_mean"


@methods.register("class_means")
class ClassMeans(Method):
    """Cross-entropy, and attraction to the teacher's class means."""

    title: ClassVar[str] = "ClassMeans"
    paper: ClassVar[str] = "an example"
    cost: ClassVar[str] = "teacher forward once"
    weight: float = Field(0.1, ge=0, description="weight of the attraction")
    directions: int = Field(4, ge=1, description="number of principal directions")

    def prepare(self, preparation: Preparation) -> Mapping[str, torch.Tensor]:
        """The mean of each class, and the directions in which all states differ most."""
        batches = [(preparation.hidden("teacher", b), b.targets) for b in preparation.batches()]
        states, targets = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
        counts = torch.bincount(targets, minlength=preparation.vocabulary)[:, None]
        sums = states.new_zeros(preparation.vocabulary, states.shape[1])
        means = sums.index_add_(0, targets, states) / counts.clamp(min=1)
        directions = torch.linalg.svd(states - states.mean(0), full_matrices=False).Vh
        return {"means": means, "pca": directions[: self.directions].T}

    def triple(self) -> Triple:
        """Both terms on the dataset."""
        count = self.directions
        projector = Part(lambda sizes: torch.nn.Linear(sizes.widths["student"], count))
        terms = [Term(CrossEntropy()), Term(ToClassMean(), self.weight)]
        return Triple(terms, parts={"projector": projector})

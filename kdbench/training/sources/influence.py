"""Influence: how much a step on a response lowers the validation loss, as its weight."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kdbench.errors import InputError
from kdbench.training.agreement import auc, labels_of
from kdbench.training.objective import CrossEntropy, Term
from kdbench.training.source import Draw, sample_without_repetition
from kdbench.training.sources.blocks import Choice, FromBlocks, everywhere
from kdbench.views.rollout import Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.training.context import Context
    from kdbench.training.gradients import ParameterGroup

Form = Literal["exp", "sigmoid"]


@dataclass
class FromInfluence(FromBlocks):
    """Another source, whose responses weigh by their influence on the validation loss.

    The influence of response i is the product of its loss's gradient with that of the mean
    cross-entropy of some validation rows, on a group of the student's parameters (Koh and Liang
    2017 with the identity for the Hessian). It is positive if training on i lowers that loss.

    Attributes:
        terms: The loss that is trained.
        form: How influences become weights; see `influence_weights`.
        parameters: Patterns of the group's names, with commas between; if empty, the last layer.
        validation_rows: The number of validation rows, drawn anew for each block.
        label: A column for the log alone: 1 where a response is known to be wrong.
    """

    terms: Sequence[Term] = ()
    form: Form = "exp"
    parameters: str = ""
    validation_rows: int = 64
    label: str = "wrong"

    def begin(self, context: "Context") -> None:
        """Find the group of parameters, and the validation rows."""
        super().begin(context)
        self._group: ParameterGroup = context.gradients.chosen(self.parameters)
        self._valid: Sequence[Example] = context.valid

    def choose(self, draw: Draw, rows: Sequence[Rollout]) -> list[Choice]:
        """All responses of the block, with their weights."""
        valid = sample_without_repetition(
            self._valid, self.validation_rows, lambda name: draw.uniform(f"validation {name}")
        )
        toward = self._group.mean(CrossEntropy(), [of_dataset(example) for example in valid])
        own = self._group.products(self.terms, rows, toward).tolist()
        influences, place = everywhere(draw, own)
        mine = influence_weights(influences, self.form)[place]
        labels = labels_of(rows, self.label)
        found = None if labels is None else auc(mine, [not label for label in labels])
        if found is not None:
            self.facts["influence/auc"] = found
        return list(enumerate(mine))

    def __str__(self) -> str:
        return f"{self.source} by influence"


def influence_weights(influences: Sequence[float], form: Form = "exp") -> list[float]:
    """Weights of mean 1 that grow with the influence.

    Args:
        influences: h_i.
        form: `exp`: e^m, where m is h brought to [-1, 1] by its least and largest value; or
            `sigmoid`: σ(h / std h). Equal influences weigh 1.

    Raises:
        InputError: An influence is not finite.
    """
    if not all(math.isfinite(value) for value in influences):
        raise InputError("the gradient of a response is not finite: lower learning_rate=")
    low, high = min(influences, default=0.0), max(influences, default=0.0)
    if low == high:
        return [1.0] * len(influences)
    if form == "exp":
        found = [math.exp(2 * (value - low) / (high - low) - 1) for value in influences]
    else:
        mean = math.fsum(influences) / len(influences)
        squares = math.fsum((value - mean) ** 2 for value in influences)
        spread = math.sqrt(squares / len(influences))
        found = [0.5 * (1 + math.tanh(value / spread / 2)) for value in influences]
    mean = math.fsum(found) / len(found)
    return [value / mean for value in found]

"""MiniPLM: difference sampling, the texts that a teacher knows better than a small model.

Paper: Gu et al. 2024, MiniPLM (arXiv 2410.17215), and the code of thu-coai/MiniPLM, as notes report
    it: the share of the documents with the largest difference is kept, and a student is then
    pre-trained on them without a teacher.
Score: mean loss of the small reference model - mean loss of the teacher, in nats per token, over a
    plain text or a row's response.
Chosen: the largest scores; with `choice_temperature`, a sample without replacement from
    softmax(score / temperature). That the paper samples so is from memory, and was not checked.
Both models must have the same tokens. A text longer than `max_length` is scored up to there.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.builders.selection import SelectionRule, selection_rules

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.scoring import Distributions
    from kdbench.builders.workshop.workshop import Workshop


@selection_rules.register("miniplm")
class ReferenceDifference(SelectionRule):
    """The texts or responses that a teacher predicts much better than a small reference model."""

    title: ClassVar[str] = "MiniPLM: difference sampling"
    paper: ClassVar[str] = "Gu et al. 2024, arXiv 2410.17215"
    basis: ClassVar[str] = "notes on paper and code"
    cost: ClassVar[str] = "a pass of teacher and reference over each text"
    models: ClassVar[tuple[str, ...]] = ("teacher", "reference")

    teacher: str = Field(description="Checkpoint of the teacher")
    reference: str = Field(description="Checkpoint of a small model, trained on such texts")
    choice_temperature: float = Field(
        0.0,
        ge=0,
        description="Temperature of a draw by score in place of the largest scores; 0 takes these",
    )

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """The rows with the largest differences, or a draw by them."""
        from kdbench.builders.selection.parts.pool import Chosen, best, mean_of
        from kdbench.builders.workshop.scoring import TextToScore

        losses = {"teacher": dict[str, float](), "reference": dict[str, float]()}
        for rows in pool.chunks():
            texts = [TextToScore(row.id, row) for row in rows]
            found = work.score(self.models, texts, mean_losses, "losses")
            for name, numbers in found.items():
                for model, of_model in losses.items():
                    of_model[name] = numbers[model]
        scores = {
            name: difference(losses["reference"][name], losses["teacher"][name])
            for name in losses["teacher"]
        }
        keys = {name: self._key(work, name, score) for name, score in scores.items()}
        chosen = best(pool, keys).ids
        figures = mean_of("score", scores, chosen)
        for model, of_model in losses.items():
            figures |= mean_of(f"loss of {model}", of_model, chosen)
        return Chosen(chosen, scores, figures=figures)

    def _key(self, work: "Workshop", name: str, score: float) -> float:
        """The score; with a temperature, plus Gumbel noise, whose largest sums are such a draw."""
        if self.choice_temperature == 0:
            return score
        uniform = 1 - work.random("gumbel", name).random()  # in (0, 1]
        return score / self.choice_temperature - math.log(max(-math.log(uniform), 1e-300))


def difference(reference: float, teacher: float) -> float:
    """The score of a text.

    Args:
        reference: Mean loss of the small model, in nats per token.
        teacher: Mean loss of the teacher.
    """
    return reference - teacher


def mean_losses(found: "Distributions") -> Mapping[str, float]:
    """The mean loss of each model."""
    return {model: -float(found.log_p(model).mean()) for model in found.log_probs}

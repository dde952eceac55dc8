"""KD3: of a pool of mixed quality, the rows that teacher and student answer the surest.

Paper: KD3 (arXiv 2307.11469); third-party notes and the abstract were read, no code. It selects web
    images by the predictions of both models; here these are rows, and the selection alone is built.
Score: c = ½ (mean log p(y) + mean log q(y)) over the tokens of the teacher's greedy response y; or,
    with `confidence=max_prob`, ½ (mean max p + mean max q). The method `kd3` makes the same
    selection while it trains, on sampled responses.
Ours: the share, greedy responses, and that the rows keep the responses they have.
Confidence also selects what is easy or degenerate: compare KL(p‖q) of what is kept in the card.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.parts.scored import TeacherAndStudent

if TYPE_CHECKING:
    from kdbench.builders.workshop.scoring import Distributions


@selection_rules.register("kd3")
class KD3Rows(TeacherAndStudent):
    """The rows that teacher and student answer the surest."""

    title: ClassVar[str] = "KD3 (adapted): the surest rows"
    paper: ClassVar[str] = "KD3, arXiv 2307.11469"
    basis: ClassVar[str] = "third-party notes and abstract"
    adapted: ClassVar[str] = "the selection alone, of rows in place of web images"

    confidence: Literal["log_prob", "max_prob"] = Field(
        "log_prob",
        description="Confidence of a model: the mean log-probability of the response's tokens, or "
        "the mean of the largest probability at each",
    )

    @property
    def step(self) -> str:
        """The confidence that is measured."""
        return f"kd3 {self.confidence}"

    def measure(self, found: "Distributions") -> float:
        """The mean confidence of both models."""
        from kdbench.training.sources.confidence import confidence

        models = ("teacher", "student")
        if self.confidence == "log_prob":
            return confidence(*([found.log_p(model).tolist()] for model in models))[0]
        largest = (found.log_probs[model].amax(-1).exp().tolist() for model in models)
        return confidence(*([row] for row in largest))[0]

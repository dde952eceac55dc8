"""KD-AIF: a response weighs by its influence on the validation loss.

Paper: KD-AIF (arXiv 2501.02705); its public notebooks and notes on it were read. There the
    influence is that of one image of the test set, has the wrong sign, so that harmful examples
    weigh most, and is never computed again; this is the described method, so published numbers are
    no reference for it.
Objective: the mean over tokens of w_i ((1-r) CE + r T² KL(p‖q)), r = `kd_ratio`. The notebooks have
    r = 1, T = 7 and no T².
Weights: h_i = ⟨∇ L_valid, ∇ L_i⟩ on a small group of parameters, positive where a step on response
    i lowers the validation loss. w = exp(m), m = h brought to [-1, 1], divided by its mean, which
    keeps the learning rate's meaning. `weight=sigmoid` has σ(h / std h) instead. The weights of
    the next `refresh_steps` steps are found together; the described method does so once an epoch.
Data: the dataset's responses. If all rows have a column `wrong` (1 or 0), which nothing else reads,
    the log has the AUC of the weights: how well they tell right responses from wrong ones.
"""

from typing import ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, FromInfluence, Match, Term, Triple


@methods.register("aif")
class AIF(Method):
    """Forward KL, weighted by the influence of a response on the validation loss."""

    title: ClassVar[str] = "KD-AIF (adapted)"
    paper: ClassVar[str] = "KD-AIF, arXiv 2501.02705"
    cost: ClassVar[str] = "teacher forward, twice; a gradient of each response"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "authors' notebooks and third-party notes"
    adapted: ClassVar[str] = "images to responses; the sign put right; gradients of one layer"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:influence/auc", "up", "right answers weigh more than wrong ones", chance=0.5
    )
    kd_ratio: float = Field(1.0, ge=0, le=1, description="r, weight of the divergence; CE has 1-r")
    temperature: float = Field(1.0, gt=0, description="divides both logits in the divergence")
    weight: Literal["exp", "sigmoid"] = Field("exp", description="how influences become weights")
    refresh_steps: int = Field(50, ge=1, description="number of steps between new weights")
    validation_rows: int = Field(
        64, ge=1, description="number of validation rows whose loss the weights lower"
    )
    parameters: str = Field(
        "",
        description="patterns of the parameters' names, with commas (default: the last layer)",
    )

    def triple(self) -> Triple:
        """Both terms on the dataset, by weight."""
        divergence = Match(temperature=self.temperature)
        terms = [Term(CrossEntropy(), 1 - self.kd_ratio), Term(divergence, self.kd_ratio)]
        terms = [term for term in terms if term.weight]
        source = FromInfluence(
            steps=self.refresh_steps,
            terms=terms,
            form=self.weight,
            parameters=self.parameters,
            validation_rows=self.validation_rows,
        )
        return Triple(terms, source)

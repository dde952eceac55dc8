"""DPO: the better response of a pair gains on the worse one, compared with a reference.

Paper: Rafailov et al. 2023 (arXiv 2305.18290).
Objective: -log σ(β ((log q(y_c) - log q_0(y_c)) - (log q(y_r) - log q_0(y_r)))), the mean over
    pairs; log-probabilities are summed over a response, not averaged, so longer ones weigh more.
    q_0 is `reference_model`, or the student before training. `ce_weight` adds -log q(y) of the
    chosen response, the mean over tokens (off in the paper): the loss by itself may make both
    responses less likely, as only their margin counts.
Data: rows with `chosen` and `rejected`.
It distils nothing: it makes the aligned teacher that `dckd` and `adpa` learn from, and is the row
    that they are compared with.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, FromPairs, Frozen, Term, Triple
from kdbench.training.preference import Preference


@methods.register("dpo")
class DPO(Method):
    """Direct preference optimisation, without a teacher."""

    title: ClassVar[str] = "DPO"
    paper: ClassVar[str] = "Rafailov et al. 2023, arXiv 2305.18290"
    cost: ClassVar[str] = "reference forward, two responses a row"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "paper"
    data: ClassVar[str] = "prompts with chosen and rejected"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "short:response_length", "down", "responses in the preferred, short form"
    )
    needs_teacher: ClassVar[bool] = False
    beta: float = Field(0.1, gt=0, description="β, factor of the margin")
    ce_weight: float = Field(0.0, ge=0, description="weight of the cross-entropy on chosen")
    reference_model: Path | None = Field(
        None, description="checkpoint of the reference (default: the student before training)"
    )

    def triple(self) -> Triple:
        """The loss of pairs, each counted once."""
        terms = [Term(Preference(self.beta), per="group")]
        if self.ce_weight:
            terms.append(Term(CrossEntropy(), self.ce_weight, on=("chosen",)))
        reference = Frozen("reference", self.reference_model)
        return Triple(terms, FromPairs(), companions=[reference])

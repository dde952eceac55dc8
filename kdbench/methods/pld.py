"""PLD: the student learns the teacher's order of the tokens, the response's token first.

Paper: Plackett-Luce distillation (arXiv 2506.12542), for classes of images; the text was read, no
    code by the authors was found. Adapted here to the tokens of a response.
Objective: with the order π (the response's token, then all others by falling teacher logits) and
    α_k = softmax(z_p/`target_temperature`) at π_k, constant:
      sum over k of α_k [logsumexp over j >= k of z_q(π_j) - z_q(π_k)].
    Only the first `places` terms are summed, over denominators of all tokens not yet placed. With
    one place and α = 1 it is cross-entropy. It is not lowest where student and teacher agree.
Data: the dataset's responses, whose tokens are part of the definition.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple
from kdbench.training.ranking import losses_of_places

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PlackettLuce(Objective):
    """The weighted negative log-likelihood of the first places of an order."""

    floor: ClassVar[float | None] = None
    target_temperature: float = 1.0
    places: int = 20

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Sum of α_k times the loss of place k."""
        teacher = chunk.view_logits("teacher")
        places = min(self.places, teacher.shape[-1])
        first = teacher.scatter(-1, chunk.targets[:, None], float("inf"))
        order = first.topk(places, dim=-1).indices
        weights = (teacher / self.target_temperature).softmax(-1).gather(-1, order)
        return (weights * losses_of_places(chunk.logits, order)).sum(-1)

    def __str__(self) -> str:
        return f"plackett_luce(places={self.places})"


@methods.register("pld")
class PLD(Method):
    """The likelihood of the teacher's order, the response's token first."""

    title: ClassVar[str] = "PLD (adapted)"
    paper: ClassVar[str] = "arXiv 2506.12542"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper and a third party's code"
    adapted: ClassVar[str] = "classes of images become tokens, and only the first places are summed"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "kendall@ref", "up", "the order of the teacher's likeliest tokens"
    )
    target_temperature: float = Field(
        1.0, gt=0, description="divides the teacher's logits in the weights of the places"
    )
    places: int = Field(20, ge=1, description="K, number of places that are learned")

    def triple(self) -> Triple:
        """The likelihood of the order on the dataset."""
        return Triple(PlackettLuce(self.target_temperature, self.places))

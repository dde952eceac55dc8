"""Swing distillation: a softer and noisier teacher where a token is private.

Paper: swing distillation (arXiv 2212.08349), of which the abstract was read: temperatures rise with
    the probability that a token is private, and noise is added to the targets. The formula is
    kdbench's, and so are its numbers; the published ones do not apply to it.
Objective: KL(p̃‖q) + (1-s) `ce_weight` (-log q(y)), s = 1 for private tokens and 0 for others,
    p̃ = (1 - ε s) softmax(z_p/T) + ε s/V, T = `temperature` + s (`private_temperature` -
    `temperature`), ε = `noise`. The loss is linear in p̃, so that even noise has the gradient that
    random noise has on average. Cross-entropy falls with s as well, or the response itself would
    tell what the target hides.
Data: the dataset's responses. `private=spans`: the field `private` of each row lists the private
    texts in its response; `private=digits`: every number is private.
Privacy is not guaranteed, and the teacher still gives a part of its answer away: measure it. A
    response left out of training gives nothing away; what is gained over that is not known.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple
from kdbench.training.sources.private import MarkPrivate, PrivateRule
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PrivateTarget(Objective):
    """Forward KL to a target that is vague on private tokens, and cross-entropy on the others."""

    floor: ClassVar[float | None] = None
    temperature: float = 1.0
    private_temperature: float = 4.0
    noise: float = 0.3
    ce_weight: float = 1.0

    def target(self, chunk: Chunk) -> "torch.Tensor":
        """The log of p̃, (n, V)."""
        teacher, private = chunk.view_logits("teacher"), chunk.plan["private"][:, None]
        rise = self.private_temperature - self.temperature
        log_p = tempered(teacher, self.temperature + rise * private)
        share = self.noise * private
        return (log_p + (-share).log1p()).logaddexp(share.log() - math.log(teacher.shape[-1]))

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(p̃‖q) + (1-s) `ce_weight` (-log q(y))."""
        open_share = 1 - chunk.plan["private"]
        gold = self.ce_weight * open_share * chunk.of_target(chunk.log_q)
        return forward_kl(self.target(chunk), chunk.log_q) - gold

    def diagnostics(self, chunk: Chunk) -> "dict[str, torch.Tensor]":
        """`private`: the share of private tokens."""
        return {"private": chunk.plan["private"]}

    def __str__(self) -> str:
        return f"private_kl(temperature={self.private_temperature:g}, noise={self.noise:g})"


@methods.register("swing")
class Swing(Method):
    """Forward KL to a softer and noisier teacher on private tokens, and cross-entropy on others."""

    title: ClassVar[str] = "Swing (adapted)"
    paper: ClassVar[str] = "arXiv 2212.08349"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "abstract"
    adapted: ClassVar[str] = "the formula is kdbench's, in the spirit of the abstract"
    data: ClassVar[str] = "prompts and responses, and a list of private texts (private=spans)"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "canaries:lm_loss", "up", "secrets get unlikelier; a guess has 1.84 nats per token"
    )
    private: PrivateRule = Field("spans", description="which tokens are private")
    temperature: float = Field(1.0, gt=0, description="divides the teacher's logits elsewhere")
    private_temperature: float = Field(
        4.0, gt=0, description="divides the teacher's logits on private tokens"
    )
    noise: float = Field(0.3, ge=0, le=1, description="ε, share of even noise on private tokens")
    ce_weight: float = Field(
        1.0, ge=0, description="weight of the cross-entropy, on tokens that are not private"
    )

    def triple(self) -> Triple:
        """The vague target on the dataset."""
        objective = PrivateTarget(**self.model_dump(exclude={"private"}))
        return Triple(objective, MarkPrivate(self.private))

"""Self-distillation: the student, or an earlier one, is shown more and is then the teacher.

The view is called `informed`. Its model is a companion, and what it is shown is a prompt of its own
(`Triple.prompts`); both views score the same response tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from kdbench.divergence import entropy, generalised_jsd, mixture, reverse_kl
from kdbench.training.chunk import Chunk
from kdbench.training.companion import Companion
from kdbench.training.companions import Frozen, MovingAverage
from kdbench.training.objective import Match, Objective
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch

VIEW = "informed"


def averaged(decay: float) -> Companion:
    """The student that is shown more: an average of which `decay` remains at each step.

    1 is the student before training, of which there is no copy if an adapter is trained; 0 is the
    student of the step itself.
    """
    return Frozen(VIEW) if decay == 1 else MovingAverage(VIEW, decay)


class Informed(Objective):
    """A loss between student and informed view, which logs how sure both are."""

    views = (VIEW,)

    def diagnostics(self, chunk: Chunk) -> "Mapping[str, torch.Tensor]":
        """The entropies in nats, and the distance, at each token."""
        log_p, log_q = chunk.log_prob(VIEW), chunk.log_q
        return {
            "informed/entropy": entropy(log_p),
            "informed/student_entropy": entropy(log_q),
            "informed/kl": reverse_kl(log_p, log_q),
        }


@dataclass(frozen=True)
class MatchInformed(Informed, Match):
    """A divergence to the informed view."""

    view: str = VIEW

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The informed view."""
        return (self.view,)

    @property
    def takes_top_k(self) -> bool:  # type: ignore[override]
        """The view is a model, all of whose distribution is there."""
        return False


@dataclass(frozen=True)
class InformedJSD(Informed):
    """JSD to the informed view in the forms of public trainers; None leaves a part out.

    Attributes:
        teacher_weight: w in w KL(p‖m) + (1-w) KL(q‖m), m = w p + (1-w) q, 0 to 1.
        temperature: Divides both logits; the loss is not multiplied by its square.
        top_k: Number of tokens over which the two are compared.
        top_of: Whose likeliest tokens these are.
        tail: Whether all other tokens count together as one more; otherwise both distributions are
            renormalised over the k.
        clip: Largest value of a token's loss, or of one vocabulary entry of its sum, nats.
        clip_per: Which of the two.
        ratio_limit: Multiplies each token by q(y)/q_sampled(y), detached, at most this.
    """

    teacher_weight: float = 0.5
    temperature: float = 1.0
    top_k: int | None = None
    top_of: Literal["informed", "student"] = "informed"
    tail: bool = False
    clip: float | None = None
    clip_per: Literal["entry", "token"] = "token"
    ratio_limit: float | None = None

    @property
    def weighs_rollouts(self) -> bool:  # type: ignore[override]
        """Whether its tokens are weighted by who drew them."""
        return self.ratio_limit is not None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The JSD of each token, clipped and weighted."""
        log_p = tempered(chunk.view_logits(VIEW), self.temperature)
        log_q = tempered(chunk.logits, self.temperature)
        if self.top_k is not None and self.top_k < log_q.shape[-1]:
            of = log_p if self.top_of == "informed" else log_q.detach()
            ids = of.topk(self.top_k, dim=-1).indices
            log_p, log_q = (over_tokens(log, ids, self.tail) for log in (log_p, log_q))
        if self.clip is not None and self.clip_per == "entry":
            loss = jsd_entries(log_p, log_q, self.teacher_weight).clamp(max=self.clip).sum(-1)
        else:
            loss = generalised_jsd(log_p, log_q, self.teacher_weight)
            loss = loss if self.clip is None else loss.clamp(max=self.clip)
        if self.ratio_limit is None:
            return loss
        log_ratio = chunk.of_target(chunk.log_q).detach() - chunk.plan["log_sampled"]
        return log_ratio.clamp(max=math.log(self.ratio_limit)).exp() * loss

    def __str__(self) -> str:
        given = [
            f"{one.name}={getattr(self, one.name)}"
            for one in fields(self)
            if getattr(self, one.name) != one.default
        ]
        weighted = "" if self.ratio_limit is None else "ratio_weighted_"
        return f"{weighted}informed_jsd" + (f"({', '.join(given)})" if given else "")


def over_tokens(log_p: "torch.Tensor", ids: "torch.Tensor", tail: bool) -> "torch.Tensor":
    """A distribution over some of its tokens.

    Args:
        log_p: Log-probabilities, (n, V).
        ids: The tokens, fewer than V, int64 (n, k).
        tail: Whether the others are one more outcome; otherwise the k are renormalised.

    Returns:
        Log-probabilities, (n, k + 1) or (n, k).
    """
    import torch

    kept = log_p.gather(-1, ids)
    if not tail:
        return kept.log_softmax(-1)
    others = log_p.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([kept, others], -1)


def jsd_entries(
    log_p: "torch.Tensor", log_q: "torch.Tensor", teacher_weight: float
) -> "torch.Tensor":
    """The entries whose sum over the last axis is `generalised_jsd`, each 0 or more, 0 < w < 1."""
    log_m = mixture(log_p, log_q, teacher_weight)
    of_teacher = teacher_weight * log_p.exp() * (log_p - log_m)
    return of_teacher + (1 - teacher_weight) * log_q.exp() * (log_q - log_m)

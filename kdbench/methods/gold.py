"""GOLD: on-policy distillation from a teacher of any tokenizer, over the tokens that match by text.

Paper: Patiño et al. 2025 (Hugging Face, "Unlocking On-Policy Distillation for Any Model Family").
    Read: the trainer in TRL 1.16.
Objective: responses are cut into groups whose texts end at the same byte in both tokenizations. The
    distribution of a group is that of its first token times the probabilities of the others, or of
    its last one times those before (`place`), not normalised. The loss of a group is
      w JSD on the tokens of equal text + (1-w) Σ|p - q| of the sorted probabilities of all others,
    w the share of the teacher's tokens that match, or `matched_weight`. JSD has the teacher's
    weight `teacher_weight`; 0 and 1 are its limits KL(p‖q) and KL(q‖p), which can be negative for
    groups of several tokens. Where the tokens of a group differ, equal ids are no equal events: a
    teacher that writes `ab` in one token gives `a` little, and so lowers the student's `a`, `b`.
    `others=bucket` (kdbench's) compares equal events: with one token on each side, the matched
    tokens and the rest of the probability; else the group's text, and any other.
Conventions: with equal tokenizers every token is a group and the loss is JSD over all, that of
    `gkd`. Tokens match by their bytes, end tokens in any case; TRL compares their names, in which
    `Ġthe` and `▁the` differ. TRL's merge of first tokens (`observed`) takes the distributions one
    position too late; its `bayesian` merge is that of `place=last`. TRL leaves out end tokens by
    default, and averages groups, then responses; here a response counts by its length.
Data: with probability `student_fraction` a batch of new student samples, otherwise the dataset.
    TRL samples at temperature 0.9, kdbench at `sampling_temperature=`, 1 by default.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import generalised_jsd
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Context, FromStudent, Triple
from kdbench.training.grouped import GroupObjective, Sides
from kdbench.training.unmatched import (
    Matched,
    matched_of,
    sorted_distance,
    text_or_not,
    with_rest,
)

if TYPE_CHECKING:
    import torch


@dataclass(eq=False)
class Hybrid(GroupObjective):
    """JSD on matched tokens; sorted distance, or one rest, for the others."""

    teacher_weight: float = 0.5
    others: Literal["sorted", "bucket"] = "sorted"
    matched_weight: float | None = None
    matched: Matched | None = field(default=None, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Find the tokens that match; with equal tokenizers all do."""
        super().begin(context)
        if self.teacher is not None:
            self.matched = matched_of(self.teacher.reader.classes, context.device)

    def group(self, sides: Sides) -> "torch.Tensor":
        """The loss of each group."""
        import torch

        if self.matched is None:
            weight = 1.0 if self.matched_weight is None else self.matched_weight
            return weight * generalised_jsd(sides.log_p, sides.log_q, self.teacher_weight)
        ours, theirs = self.matched.student, self.matched.teacher
        if self.others == "bucket":
            tokens = with_rest(sides.log_p, theirs), with_rest(sides.log_q, ours)
            texts = text_or_not(sides.log_p_text), text_or_not(sides.log_q_text)
            one, several = (generalised_jsd(*pair, self.teacher_weight) for pair in (tokens, texts))
            return torch.where(sides.single, one, several)
        log_p = sides.log_p[:, theirs.ids] + sides.log_p_others[:, None]
        log_q = sides.log_q[:, ours.ids] + sides.log_q_others[:, None]
        weight = self.matched.share if self.matched_weight is None else self.matched_weight
        loss = weight * generalised_jsd(log_p, log_q, self.teacher_weight)
        if not (len(ours.others) and len(theirs.others)):
            return loss
        log_p = sides.log_p[:, theirs.others] + sides.log_p_others[:, None]
        log_q = sides.log_q[:, ours.others] + sides.log_q_others[:, None]
        return loss + (1 - weight) * sorted_distance(log_p, log_q)

    def __str__(self) -> str:
        weight = f"teacher_weight={self.teacher_weight:g}"
        return f"matched_jsd({weight}, others={self.others}, way={self.way})"


@methods.register("gold")
class GOLD(Method):
    """JSD on the tokens that match by text, on student and dataset responses; any tokenizer."""

    title: ClassVar[str] = "GOLD"
    paper: ClassVar[str] = "Patiño et al. 2025, Hugging Face"
    cost: ClassVar[str] = "teacher forward, student generation in half of the steps"
    family: ClassVar[str] = "tokenizers"
    basis: ClassVar[str] = "authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    teacher_weight: float = Field(
        0.5, ge=0, le=1, description="w, teacher's share of the mixture; 0 is KL(p‖q), 1 is KL(q‖p)"
    )
    place: Literal["first", "last"] = Field(
        "first", description="token of a group whose distribution is compared"
    )
    others: Literal["sorted", "bucket"] = Field(
        "sorted", description="what does not match: sorted distance, or one rest in the JSD"
    )
    matched_weight: float | None = Field(
        None, ge=0, le=1, description="weight of the JSD; none takes the share of matched tokens"
    )
    student_fraction: float = Field(
        0.5, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """The loss of groups on student samples or the dataset."""
        loss = Hybrid(self.place, self.teacher_weight, self.others, self.matched_weight)
        return Triple(loss, FromStudent(self.student_fraction))

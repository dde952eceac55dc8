"""LELP: the teacher's embeddings split each class into subclasses, which the student learns.

Paper: Learning Embedding Linear Projections (arXiv 2409.20449); public reviews and notes of it were
    read, neither its text nor code. Reviews report that the gains of its abstract are not those of
    its tables.
Preparation: the teacher's state h at the label word of each training row. For each class c, with
    the mean state μ_c of its rows and the projection N on the null space of the head's rows of the
    label words, which the class logits cannot show: g_c = R V_cᵀ N (h - μ_c), V_c the first
    `subclasses` principal directions of its rows and R a random rotation, so that the variances
    are alike. Signs and rotation depend on `seed=` alone, and the result is kept.
Objective: -sum P log q', P(c, s) = p_c softmax_s(`sharpness` g_c), p the teacher's softmax over the
    label words, q' a further head of the student with an output per subclass, at the label word;
    + `lm_weight` × cross-entropy of the response, so that the student can still say the word.
    sharpness=0 is distillation of the label words by the same head. There is no gold term in q'.
The original trains a classifier with that head; here the finished student drops it.
Data: rows whose field `label_field` has `classes` values, each with a word of its own in the
    response.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.errors import InputError
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import (
    Chunk,
    Context,
    CrossEntropy,
    Objective,
    Part,
    Plan,
    Preparation,
    Sizes,
    Term,
    Triple,
)
from kdbench.training.labels import FromLabelled, LabelReport, at_label, label_words

if TYPE_CHECKING:
    import torch

_LAST: Mapping[str, tuple[int, ...]] = {"student": (-1,)}


def directions(
    states: "torch.Tensor", head: "torch.Tensor", count: int, draw: "torch.Generator"
) -> "torch.Tensor":
    """N V R of a class, (H, count), from its centred states (n, H) and the head's rows (C, H)."""
    import torch

    null = torch.eye(head.shape[1], dtype=head.dtype) - torch.linalg.pinv(head) @ head
    principal = torch.linalg.svd(states @ null, full_matrices=False).Vh[:count]
    largest = principal.gather(1, principal.abs().argmax(1, keepdim=True))
    gauss = torch.randn(count, count, generator=draw, dtype=head.dtype)
    rotation = torch.linalg.qr(gauss).Q
    return null @ (principal * largest.sign()).T @ rotation


def _head(outputs: int, sizes: Sizes) -> "torch.nn.Module":
    import torch

    return torch.nn.Linear(sizes.widths["student"], outputs)


def subclass_targets(
    log_p: "torch.Tensor", projections: "torch.Tensor", sharpness: float
) -> "torch.Tensor":
    """P of each row, (n, C·S), from log p (n, C) and g (n, C, S)."""
    within = (sharpness * projections).softmax(-1)
    return (log_p.exp()[..., None] * within).flatten(-2)


@dataclass
class Subclasses(Objective):
    """Cross-entropy of the further head to the subclasses, at the label word."""

    views = ()
    hidden = _LAST
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None  # the targets' entropy
    label_field: str = "label"
    sharpness: float = 1.0
    position: int = field(default=0, repr=False)
    places: Mapping[str, int] = field(default_factory=dict, repr=False)
    prepared: "Mapping[str, torch.Tensor]" = field(default_factory=dict, repr=False)

    def begin(self, context: Context) -> None:
        """Find what was prepared for each row."""
        self.position = label_words(context.train, self.label_field).position
        self.places = {example.id: place for place, example in enumerate(context.train)}
        self.prepared = {n: v.to(context.device) for n, v in context.statistics.items()}

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """The number of each row, and the factor of its label word."""
        import torch

        rows = [self.places[rollout.id] for rollout in plan.batch.rollouts]
        numbers = torch.tensor(rows, device=plan.mask.device)[:, None].expand(plan.mask.shape)
        return {"row": numbers, "at_label": at_label(plan, self.position)}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-sum P log q'."""
        row = chunk.plan["row"]
        log_p, projections = self.prepared["log_p"][row], self.prepared["projections"][row]
        log_q = chunk.parts["subclass_head"](chunk.hidden("student", -1)).log_softmax(-1)
        targets = subclass_targets(log_p, projections, self.sharpness)
        return -chunk.plan["at_label"] * (targets * log_q).sum(-1)

    def __str__(self) -> str:
        return f"subclasses(sharpness={self.sharpness:g})"


@methods.register("lelp")
class LELP(Method):
    """Subclasses from the teacher's embeddings, by a further head at the label word."""

    title: ClassVar[str] = "LELP (adapted)"
    paper: ClassVar[str] = "LELP, arXiv 2409.20449"
    cost: ClassVar[str] = "teacher forward once"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "third-party notes"
    adapted: ClassVar[str] = "a classifier; here label words, and a head that the student drops"
    data: ClassVar[str] = "a label in each row, whose word is in the response"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:labels/probe", "up", "hidden subgroups that a linear probe reads off the states"
    )
    prepares_with: ClassVar[tuple[str, ...]] = ("teacher",)
    label_field: str = Field("label", description="column of the label")
    classes: int = Field(2, ge=2, description="C, number of labels")
    subclasses: int = Field(4, ge=1, description="S, number of subclasses of a label")
    sharpness: float = Field(
        1.0, ge=0, description="β, multiplies the projections; 0 makes all subclasses alike"
    )
    lm_weight: float = Field(1.0, ge=0, description="r, weight of the response's cross-entropy")
    group_field: str | None = Field(
        None, description="column of a hidden subgroup, of which a probe is logged (default: none)"
    )

    def prepare(self, preparation: Preparation) -> Mapping[str, "torch.Tensor"]:
        """The teacher's log p over the label words and g of every class, for each training row."""
        import torch

        words = label_words(preparation.train, self.label_field)
        teacher, found = preparation.view("teacher"), []
        for batch in preparation.batches():
            places = torch.zeros_like(batch.mask)
            places[:, words.position] = True
            states = preparation.hidden("teacher", batch)[places[batch.mask]]
            dtype = next(teacher.head.parameters()).dtype
            found.append((states, words.of(teacher.logits(states.to(dtype)))))
        states, log_p = (torch.cat(each).double().cpu() for each in zip(*found, strict=True))
        head = teacher.head.weight[list(words.tokens)].double().cpu()
        if head.shape[1] - self.classes < self.subclasses:
            raise InputError(
                f"subclasses={self.subclasses}: the teacher's states of width {head.shape[1]} have "
                f"{head.shape[1] - self.classes} directions that {self.classes} label words do not "
                "show; lower it"
            )
        draw = torch.Generator().manual_seed(preparation.seed)
        labels = torch.tensor([words.label_of(e, self.label_field) for e in preparation.train])
        projections = []
        for label in range(self.classes):
            mean = states[labels == label].mean(0)
            basis = directions(states[labels == label] - mean, head, self.subclasses, draw)
            projections.append((states - mean) @ basis)
        return {"log_p": log_p.float(), "projections": torch.stack(projections, 1).float()}

    def triple(self) -> Triple:
        """The subclasses, and the words themselves."""
        terms = [
            Term(Subclasses(self.label_field, self.sharpness), per="sequence"),
            Term(CrossEntropy(), self.lm_weight),
        ]
        source = FromLabelled(self.label_field, self.classes, self.subclasses + 1)
        return Triple(
            [term for term in terms if term.weight],
            source,
            LabelReport(self.label_field, self.group_field),
            parts={"subclass_head": Part(partial(_head, self.classes * self.subclasses))},
        )

"""DHO: one head learns the labels, another the teacher, from the same states.

Paper: Dual-head optimisation (arXiv 2505.07675); the authors' code was read. It classifies images
    with a few labels. Its second head takes normalised features × 100, a habit of CLIP that is left
    out.
Objective: `label_weight` × CE(a) on the labelled rows + T² KL(p‖q_b) on these + T² KL(p‖q_b) on the
    others, each a mean of its own, p and q_b at the temperature T. Head a is the student's own; b
    starts as a copy of it.
    heads=1 lets the student's own head learn both, which is the control.
Data: the field `labelled_field` is 1 in rows whose response is known and 0 in the others, to which
    the teacher or the student writes new ones. A share `labelled_share` of each step is labelled.
    With `label_field`, the classes are label words: both losses are over the words, at the label,
    and no response is sampled. The labels of the other rows are not read.
Inference: w softmax(z_a) + (1-w) softmax(z_b/β), w `mixture_weight`, β `mixture_temperature`. For
    label words it is what `labels/mixture` in the log measures (`labels/accuracy` is w = 1,
    `labels/teacher_head` w = 0). Text needs one head: `final` chooses a, b or W = w W_a + (1-w)
    W_b/β, a log-linear mixture, which is not the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Constant, Context, Objective, Part, Plan, Sizes, Term, Triple
from kdbench.training.labels import LabelReport, LabelWords, at_label, label_words
from kdbench.training.merging import merge_head
from kdbench.training.sources.partly_labelled import FromPartlyLabelled
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch

_HEAD = "teacher_head"
_LAST: Mapping[str, tuple[int, ...]] = {"student": (-1,)}


def mixture(
    z_a: "torch.Tensor", z_b: "torch.Tensor", weight: float, temperature: float
) -> "torch.Tensor":
    """The arithmetic mixture w softmax(z_a) + (1-w) softmax(z_b/β), (n, C)."""
    return weight * z_a.softmax(-1) + (1 - weight) * (z_b / temperature).softmax(-1)


@dataclass
class ByHead(Objective):
    """What both losses share: the label words, or none."""

    floor: ClassVar[float | None] = None
    label_field: str | None = None
    labelled_field: str = "labelled"
    words: LabelWords | None = None

    def begin(self, context: Context) -> None:
        """Find the words."""
        if self.label_field is not None:
            self.words = label_words(context.train, self.label_field, self.labelled_field)

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """The factor of the label word."""
        return {} if self.words is None else {"at_label": at_label(plan, self.words.position)}

    def at_words(self, chunk: Chunk, losses: "torch.Tensor") -> "torch.Tensor":
        """The losses at the label words alone, if there are any."""
        return losses if self.words is None else chunk.plan["at_label"] * losses


@dataclass
class LabelsByHead(ByHead):
    """-log q_a of the response, or of the label word among the words."""

    views = ()

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-log q_a(y)."""
        import torch

        if self.words is None:
            return -chunk.of_target(chunk.log_q)
        words = torch.tensor(self.words.tokens, device=chunk.targets.device)
        right = chunk.targets[:, None] == words
        return self.at_words(chunk, -(right * self.words.of(chunk.log_q)).sum(-1))

    def __str__(self) -> str:
        return "cross_entropy" if self.label_field is None else "cross_entropy(label words)"


@dataclass
class TeacherByHead(ByHead):
    """T² KL(p‖q_b)."""

    hidden = _LAST
    temperature: float = 2.0
    second_head: bool = True
    merged: bool = field(default=False, repr=False)
    finish: Any = field(default=None, repr=False)

    def begin(self, context: Context) -> None:
        """Find the words; head b starts as a copy of a.

        Raises:
            InputError: The heads cannot be merged, as the student's logits are capped.
        """
        import torch

        super().begin(context)
        view: Any = context.views["student"]
        if self.second_head:
            self.finish = view.finish
            if self.merged and self.finish.caps:
                raise InputError("final=: the student caps its logits; pass final=labels")
            with torch.no_grad():
                own = context.parts[_HEAD].weight
                own.copy_(view.head.weight[: len(own)])

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """T² KL(p‖q_b), over the label words if there are any."""
        z_p = chunk.view_logits("teacher")
        z_b = self._of_head_b(chunk) if self.second_head else chunk.logits
        if self.words is not None:
            z_p, z_b = self.words.of(z_p), self.words.of(z_b)
        log_p, log_q = tempered(z_p, self.temperature), tempered(z_b, self.temperature)
        return self.at_words(chunk, self.temperature**2 * forward_kl(log_p, log_q))

    def _of_head_b(self, chunk: Chunk) -> "torch.Tensor":
        logits: torch.Tensor = chunk.parts[_HEAD](chunk.hidden("student", -1))
        return logits if self.finish is None else self.finish(logits)

    def __str__(self) -> str:
        words = "" if self.label_field is None else ", label words"
        head = "head b" if self.second_head else "own head"
        return f"forward_kl({head}, temperature={self.temperature:g}{words})"


def _head(sizes: Sizes) -> "torch.nn.Module":
    import torch

    return torch.nn.Linear(sizes.widths["student"], sizes.vocabulary, bias=False)


@methods.register("dho")
class DHO(Method):
    """A head for few labels and one for the teacher, on the same states."""

    title: ClassVar[str] = "DHO (adapted)"
    paper: ClassVar[str] = "Dual-head optimisation, arXiv 2505.07675"
    cost: ClassVar[str] = "teacher forward, teacher generation unless there are label words"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "images; here label words, or text of which few responses are known"
    data: ClassVar[str] = "a field that is 1 in labelled rows and 0 in the others"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:labels/accuracy", "up", "labels that contradict the teacher are learned"
    )
    labelled_field: str = Field("labelled", description="column that is 1 in labelled rows, else 0")
    label_field: str | None = Field(
        None, description="column of a label whose word is in the response (default: free text)"
    )
    heads: int = Field(2, ge=1, le=2, description="1 has the student's own head learn both")
    label_weight: float = Field(1.0, ge=0, description="λ, weight of the labels' cross-entropy")
    temperature: float = Field(2.0, gt=0, description="T, divides the logits of teacher and head b")
    labelled_share: float = Field(0.5, ge=0, le=1, description="share of a step that is labelled")
    responses: Literal["teacher", "student"] = Field(
        "teacher", description="who writes responses to unlabelled prompts, without label words"
    )
    mixture_weight: float = Field(0.5, ge=0, le=1, description="w, weight of head a at inference")
    mixture_temperature: float = Field(0.5, gt=0, description="β, divides head b's logits there")
    final: Literal["labels", "teacher", "mixture"] = Field(
        "labels", description="the finished student's head: a, b, or their log-linear mixture"
    )

    def triple(self) -> Triple:
        """Labels on the labelled rows, the teacher on all."""
        if self.heads == 1 and self.final != "labels":
            raise InputError(f"final={self.final}: heads=1 has no second head; pass final=labels")
        names = self.label_field, self.labelled_field
        kept: Any = {"second_head": self.heads == 2, "merged": self.final != "labels"}
        teacher = TeacherByHead(*names, temperature=self.temperature, **kept)
        per: Any = "token" if self.label_field is None else "sequence"
        terms = [
            Term(LabelsByHead(*names), self.label_weight, on=("dataset",), per=per),
            Term(teacher, on=("dataset",), per=per),
            Term(teacher, on=("unlabelled",), per=per),
        ]
        source = FromPartlyLabelled(
            self.labelled_field, self.label_field, self.labelled_share, self.responses
        )
        report = Constant() if self.label_field is None else self._report(self.label_field)
        share = {"labels": 1.0, "teacher": 0.0, "mixture": self.mixture_weight}[self.final]
        temperature = self.mixture_temperature if self.final == "mixture" else 1.0
        merge = None if self.final == "labels" else partial(merge_head, share, temperature)
        parts = {_HEAD: Part(_head, merge=merge)} if self.heads == 2 else {}
        return Triple(terms, source, report, parts=parts)

    def _report(self, label_field: str) -> LabelReport:
        return LabelReport(label_field, flag=self.labelled_field, scores=self._scores)

    def _scores(
        self, words: LabelWords, states: "torch.Tensor", logits: "torch.Tensor", parts: Any
    ) -> Mapping[str, "torch.Tensor"]:
        z_a = words.of(logits)
        z_b = words.of(parts[_HEAD](states)) if self.heads == 2 else z_a
        w, temperature = self.mixture_weight, self.mixture_temperature
        return {"teacher_head": z_b, "mixture": mixture(z_a, z_b, w, temperature)}

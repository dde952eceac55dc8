"""Objectives: the loss of a chunk of response tokens, of whole responses, or of a micro-batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kdbench.divergence import forward_kl
from kdbench.training.chunk import Chunk, FrozenHead, Plan, Responses
from kdbench.training.target import tempered
from kdbench.views.reading import Way
from kdbench.views.rollout import Batch, Origin

if TYPE_CHECKING:
    import torch

    from kdbench.training.context import Context

BEGINS = "begins"
"""A planned value, bool: the tokens at which a chunk may begin, where not all of them may."""


class Objective:
    """A loss. A subclass defines `token`, and `plan` if it needs more than a chunk at a time.

    For a loss of whole responses, see `SequenceObjective`; for any other, `StepObjective`. The
    trainer handles shift, mask, vocabulary, chunks, gradients and normalisation. An objective has
    no parameters of its own: those that train are `Triple.parts`.

    Attributes:
        views: Names of the views whose distributions it needs.
        hidden: The layers of each view whose states it needs; see `Chunk.hidden`.
        heads: The views whose heads it asks for logits of other states; see `Chunk.head_logits`.
        needs_logits: Whether it needs the student's logits.
        takes_top_k: Whether the likeliest tokens of its views are enough; see `Chunk.pair`.
        least_top_k: How many of them it needs at least, if V is not smaller.
        borrowed: Parameters of the student that `token` reads itself, such as those of its head,
            and that get a gradient there.
        floor: The loss when the student equals the teacher; None if it is not a fixed number.
        bridges: How it reads a teacher with another tokenizer; None if it cannot. See
            `kdbench.training.grouped`.
        weighs_rollouts: Whether its gradient is an expectation over the student's own samples, as
            of a policy gradient. Tokens that an engine drew then get importance weights; a
            divergence needs none, as the samples only decide where it is taken.
    """

    bridges: Way | None = None
    weighs_rollouts: bool = False
    views: tuple[str, ...] = ("teacher",)
    hidden: Mapping[str, tuple[int, ...]] = {}
    heads: tuple[str, ...] = ()
    needs_logits: ClassVar[bool] = True
    takes_top_k: bool = False
    least_top_k: int = 1
    borrowed: "tuple[torch.Tensor, ...]" = ()
    floor: ClassVar[float | None] = 0.0

    def __repr__(self) -> str:
        return type(self).__name__  # without an address, which differs in a resumed run

    def begin(self, context: "Context") -> None:
        """Look at models and data once, before training begins or resumes."""

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:  # noqa: ARG002
        """Named values of each response token, (rows, L) each, for `token` in `chunk.plan`."""
        return {}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The loss of each position, (n,), nats; gradient flows through the student alone."""
        raise NotImplementedError

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:  # noqa: ARG002
        """Named values to log with the loss, (n,) each; the log has their means over tokens."""
        return {}


class SequenceObjective(Objective):
    """A loss of whole responses, such as one of pairs, by their log-probabilities."""

    def sequence(self, rows: Responses) -> "torch.Tensor":
        """The loss of each response, (rows,), of which the term's mean is taken.

        The loss of a group may be that of one of its rows, 0 for the others; with
        `Term(per="group")` it is averaged over groups.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Whole:
    """A micro-batch with the models' work on it, which is done once.

    Attributes:
        batch: The micro-batch, restricted to the term's origins.
        states: Returns what a view's head is given at each response token, (N, H); with gradient
            for the student.
        hidden: Returns the states of a layer of a view, (N, H), where `hidden` names it.
        logits: Returns a view's logits, (N, V), without chunks.
        schedule: The schedule's values.
        parts: The method's own modules by name.
        head: Returns a view's head, frozen, for logits of other states.
        embed: Returns a view's input embeddings of tokens of its own, (n,) to (n, H), without
            gradient.
        views: The views by name.
    """

    batch: Batch
    states: "Callable[[str], torch.Tensor]"
    hidden: "Callable[[str, int], torch.Tensor]"
    logits: "Callable[[str], torch.Tensor]"
    schedule: Mapping[str, float]
    parts: Mapping[str, Any]
    head: "Callable[[str], FrozenHead]"
    embed: "Callable[[str, torch.Tensor], torch.Tensor]"
    views: Mapping[str, Any]


class StepObjective(Objective):
    """The loss of a whole micro-batch, such as one of relations between its states."""

    def step(self, whole: Whole) -> "torch.Tensor":
        """The loss summed over the batch's tokens, responses or groups, a scalar with gradient."""
        raise NotImplementedError


@dataclass(frozen=True)
class Term:
    """A weighted objective on the responses of some origins.

    Attributes:
        objective: The loss.
        weight: The factor of the loss: a number, or the name of a value of the schedule.
        on: The origins to whose responses it applies, all if empty.
        per: What the loss is averaged over: the tokens of the step; its responses, each the mean of
            its tokens; or its groups, each the mean of its responses.
    """

    objective: Objective
    weight: float | str = 1.0
    on: tuple[Origin, ...] = ()
    per: Literal["token", "sequence", "group"] = "token"

    def weight_at(self, schedule: Mapping[str, float]) -> float:
        """The factor under the values of the schedule."""
        return schedule[self.weight] if isinstance(self.weight, str) else self.weight

    def __str__(self) -> str:
        factor = self.weight if isinstance(self.weight, str) else f"{self.weight:g}"
        weight = "" if self.weight == 1 else f"{factor} "
        per = "" if self.per == "token" else f" per {self.per}"
        return f"{weight}{self.objective}{per}" + (f" on {'+'.join(self.on)}" if self.on else "")


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """-log q(y): the language-model loss on the response itself."""

    views = ()
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-log q(y)."""
        return -chunk.of_target(chunk.log_q)

    def __str__(self) -> str:
        return "cross_entropy"


@dataclass(frozen=True)
class Match(Objective):
    """A divergence between a view's distribution, the teacher's by default, and the student's.

    Attributes:
        divergence: A function of `kdbench.divergence`.
        options: Its keyword arguments.
        temperature: Divides both logits. The loss is multiplied by its square, which keeps the
            size of the gradient (Hinton et al. 2015).
        view: The view to match.
    """

    divergence: Callable[..., "torch.Tensor"] = forward_kl
    options: Mapping[str, float | str] = field(default_factory=dict)
    temperature: float = 1.0
    view: str = "teacher"

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The view to match."""
        return (self.view,)

    @property
    def takes_top_k(self) -> bool:  # type: ignore[override]
        """The rest of a distribution has no temperature of its own."""
        return self.temperature == 1

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """D(p, q)."""
        if self.temperature == 1:
            return self.divergence(*chunk.pair(self.view), **self.options)
        log_p = tempered(chunk.view_logits(self.view), self.temperature)
        log_q = tempered(chunk.logits, self.temperature)
        return self.temperature**2 * self.divergence(log_p, log_q, **self.options)

    def __str__(self) -> str:
        options = [
            f"{key}={value}" if isinstance(value, str) else f"{key}={value:g}"
            for key, value in self.options.items()
        ]
        options += [f"temperature={self.temperature:g}"] if self.temperature != 1 else []
        options += [f"view={self.view}"] if self.view != "teacher" else []
        return self.divergence.__name__ + (f"({', '.join(options)})" if options else "")


def as_terms(objective: "Objective | Sequence[Term]") -> tuple[Term, ...]:
    """An objective as a weighted sum; a single one is a sum of one term."""
    return (Term(objective),) if isinstance(objective, Objective) else tuple(objective)

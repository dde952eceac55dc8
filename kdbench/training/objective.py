"""Objectives: the loss of a chunk of response tokens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from kdbench.divergence import forward_kl
from kdbench.training.target import tempered
from kdbench.views.rollout import Batch, Origin

if TYPE_CHECKING:
    import torch

    from kdbench.views.view import View


class Chunk:
    """n of the response positions of a batch, with what the models give there.

    Attributes:
        logits: The student's logits, float32 (n, V), with gradient.
        targets: The response tokens, int64 (n,).
        plan: Values from `Objective.plan` and values recorded at sampling, (n,) each.
        schedule: The schedule's values.
    """

    def __init__(
        self,
        logits: "torch.Tensor",
        views: Mapping[str, "torch.Tensor"],
        targets: "torch.Tensor",
        plan: Mapping[str, "torch.Tensor"] | None = None,
        schedule: Mapping[str, float] | None = None,
    ):
        self.logits, self.targets = logits, targets
        self.plan, self.schedule = plan or {}, schedule or {}
        self._views = views
        self._log_probs: dict[str, torch.Tensor] = {}

    @property
    def log_q(self) -> "torch.Tensor":
        """The student's log-probabilities (n, V)."""
        if "" not in self._log_probs:
            self._log_probs[""] = self.logits.log_softmax(-1)
        return self._log_probs[""]

    @property
    def log_p(self) -> "torch.Tensor":
        """The teacher's log-probabilities (n, V), without gradient."""
        return self.log_prob("teacher")

    def log_prob(self, view: str) -> "torch.Tensor":
        """A view's log-probabilities (n, V), without gradient."""
        if view not in self._log_probs:
            self._log_probs[view] = self._views[view].log_softmax(-1)
        return self._log_probs[view]

    def view_logits(self, view: str) -> "torch.Tensor":
        """A view's logits (n, V), without gradient."""
        return self._views[view]

    def of_target(self, log_probs: "torch.Tensor") -> "torch.Tensor":
        """The entries at the response tokens, (n, V) to (n,)."""
        return log_probs.gather(-1, self.targets[:, None])[:, 0]


class Plan:
    """Scalars of all response tokens of a batch, for quantities that need more than a chunk.

    Attributes:
        mask: Which cells of (rows, L) hold a token, bool; L is the longest response.
        schedule: The schedule's values.
    """

    def __init__(
        self,
        batch: Batch,
        scalar: Callable[[str, str], "torch.Tensor"],
        schedule: Mapping[str, float],
    ):
        self.mask, self.schedule = batch.mask, schedule
        self._batch, self._scalar = batch, scalar

    def log_prob(self, view: str = "student") -> "torch.Tensor":
        """Log-probability of each response token under a view, (rows, L), 0 outside the mask."""
        return self._padded(self._scalar("log_prob", view))

    def entropy(self, view: str = "student") -> "torch.Tensor":
        """Entropy in nats of a view's distribution at each response token, (rows, L)."""
        return self._padded(self._scalar("entropy", view))

    def recorded(self, name: str) -> "torch.Tensor":
        """A scalar that was recorded at sampling, (rows, L)."""
        return self._padded(self._batch.recorded()[name])

    def _padded(self, flat: "torch.Tensor") -> "torch.Tensor":
        padded = flat.new_zeros(self.mask.shape)
        padded[self.mask] = flat
        return padded


class Objective:
    """A loss. A subclass defines `token`, and `plan` if it needs more than a chunk at a time.

    For a loss that is not a sum over tokens, see `StepObjective`. The trainer handles shift, mask,
    vocabulary, chunks, recomputation and normalisation.

    Attributes:
        views: Names of the views that it needs.
        floor: The loss when the student equals the teacher; None if it is not a fixed number.
    """

    views: ClassVar[tuple[str, ...]] = ("teacher",)
    floor: ClassVar[float | None] = 0.0

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:  # noqa: ARG002
        """Named values of each response token, (rows, L) each, for `token` in `chunk.plan`."""
        return {}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The loss of each position, (n,), nats; gradient flows through `chunk.logits` alone."""
        raise NotImplementedError

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:  # noqa: ARG002
        """Named values to log with the loss, (n,) each; the log has their means over tokens."""
        return {}


class StepObjective(Objective):
    """The loss of a whole micro-batch, such as one of pairs of sequences."""

    def step(self, batch: Batch, views: Mapping[str, "View"]) -> "torch.Tensor":
        """The loss summed over the batch's response tokens, a scalar.

        Args:
            batch: The micro-batch, restricted to the term's origins.
            views: All views by name, including `student`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Term:
    """A weighted objective on the responses of some origins.

    Attributes:
        objective: The loss.
        weight: The factor of the loss.
        on: The origins to whose responses it applies, all if empty. The loss is averaged over
            their tokens alone.
    """

    objective: Objective
    weight: float = 1.0
    on: tuple[Origin, ...] = ()

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f"{self.weight:g} "
        return f"{weight}{self.objective}" + (f" on {'+'.join(self.on)}" if self.on else "")


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """-log q(y): the language-model loss on the response itself."""

    views: ClassVar[tuple[str, ...]] = ()
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-log q(y)."""
        return -chunk.of_target(chunk.log_q)

    def __str__(self) -> str:
        return "cross_entropy"


@dataclass(frozen=True)
class Match(Objective):
    """A divergence between the teacher's distribution and the student's.

    Attributes:
        divergence: A function of `kdbench.divergence`.
        options: Its keyword arguments.
        temperature: Divides both logits. The loss is multiplied by its square, which keeps the
            size of the gradient (Hinton et al. 2015).
    """

    divergence: Callable[..., "torch.Tensor"] = forward_kl
    options: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """D(p, q)."""
        if self.temperature == 1:
            return self.divergence(chunk.log_p, chunk.log_q, **self.options)
        log_p = tempered(chunk.view_logits("teacher"), self.temperature)
        log_q = tempered(chunk.logits, self.temperature)
        return self.temperature**2 * self.divergence(log_p, log_q, **self.options)

    def __str__(self) -> str:
        options = [f"{key}={value:g}" for key, value in self.options.items()]
        options += [f"temperature={self.temperature:g}"] if self.temperature != 1 else []
        return self.divergence.__name__ + (f"({', '.join(options)})" if options else "")


def as_terms(objective: "Objective | Sequence[Term]") -> tuple[Term, ...]:
    """An objective as a weighted sum; a single one is a sum of one term."""
    return (Term(objective),) if isinstance(objective, Objective) else tuple(objective)

"""Data sources: where the responses of an optimiser step come from.

A source gives the responses of one step on one process. All of its random draws are keyed by
(seed, step). So a resumed run draws the same, and all processes draw the same kind of batch.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.views.rollout import Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.training.context import Context


class Draw(Interface):
    """What a source has access to in one step.

    Attributes:
        examples: The next examples of the training set; fewer at the end of an epoch.
        size: Number of examples of a whole step on this process.
        step: Number of the step, from 0.
        schedule: The schedule's values.
    """

    examples: Sequence[Example]
    size: int
    step: int
    schedule: Mapping[str, float]

    def uniform(self, name: str) -> float:
        """A number of [0, 1) keyed by seed, step and name: equal on all processes."""

    def own_uniform(self, name: str) -> float:
        """A number of [0, 1) keyed by seed, step, name and process."""

    def more_examples(self, count: int) -> list[Example]:
        """Up to `count` random examples of the training set, without repetition."""

    def pool(self, where: Callable[[Example], bool]) -> Sequence[Example]:
        """All examples of the training set that fulfil a condition, in its order."""

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Sample a response to each example from the student, or from a mixture with the teacher.

        Args:
            examples: The examples to answer.
            teacher_weight: The teacher's share of each token's distribution, 0 to 1.
        """

    def responses(
        self, examples: Sequence[Example], view: str = "student", samples: int = 1
    ) -> list[Rollout]:
        """Sample responses from any view that is a model.

        Args:
            examples: The examples to answer.
            view: Who answers; its name is the origin of the rollouts.
            samples: Number of responses to each example; those of one example are neighbours.
        """

    def text(self, rollout: Rollout) -> str:
        """The text of a response, without special tokens."""

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The log-probability of each response token under a view's current model, row by row."""

    def entropies(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The entropy in nats of a view's distribution at each response token, row by row."""

    def note(self, name: str, value: float) -> None:
        """Add a value to the means of the log's next line."""

    def sum_over_processes(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each number over all processes; every process must call it."""


def keyed_uniform(*key: object) -> float:
    """A number of [0, 1) from the SHA-256 of a key."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


class Source:
    """Where responses come from. A subclass with a memory saves and restores its state.

    Attributes:
        uses_teacher: Whether the teacher takes part in sampling during training.
        views: Names of the views that it samples from or scores with.
        origins: The origins that its responses may have; None if it does not say. Terms on others
            are refused, as they would never learn.
    """

    uses_teacher: bool = False
    views: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None

    def begin(self, context: "Context") -> None:
        """Look at models and data once, before training begins or resumes."""

    @property
    def samples(self) -> bool:
        """Whether it may give responses that are sampled during training."""
        known = {"dataset", "teacher", "pretraining"}  # the teacher's are sampled before
        return self.uses_teacher or self.origins is None or not set(self.origins) <= known

    @property
    def inner(self) -> "Source":
        """The source that a wrapper wraps; otherwise the source itself."""
        return self

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses of one step on one process; none if there is nothing to learn from.

        A step without responses on any process changes no weight.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, ready for JSON."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""


@dataclass
class FromDataset(Source):
    """The training set's own responses."""

    origins = ("dataset",)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        return [of_dataset(example) for example in draw.examples]

    def __str__(self) -> str:
        return "dataset"


@dataclass
class FromTeacher(FromDataset):
    """The teacher's responses to the training prompts (sequence-level distillation).

    They are sampled once, before training, and kept as a data set that later runs share. The
    examples of such a run hold them as their responses.
    """

    origins = ("teacher",)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example: the one that the example holds."""
        return [replace(of_dataset(example), origin="teacher") for example in draw.examples]

    def __str__(self) -> str:
        return "teacher"


@dataclass
class FromStudent(Source):
    """New samples of the current student.

    Attributes:
        fraction: Probability that a step uses them and not the dataset's responses. A batch is of
            one kind, on all processes.
    """

    origins = ("dataset", "student")
    fraction: float = 1.0

    @property
    def samples(self) -> bool:
        """Whether any step uses samples."""
        return self.fraction > 0

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        if draw.uniform("student or dataset") < self.fraction:
            return draw.student_responses(draw.examples)
        return [of_dataset(example) for example in draw.examples]

    def __str__(self) -> str:
        if self.fraction in (0, 1):
            return "student" if self.fraction else "dataset"
        return f"student({self.fraction:g})+dataset"


@dataclass
class FromReplay(Source):
    """DistiLLM's adaptive off-policy source.

    Each step draws a uniform random number u. If u is below `refresh`, or below `threshold` while
    the buffer is not full, the student samples new responses, which also go into the buffer.
    Otherwise, if u is below `threshold`, the responses come from the buffer, and else from the
    dataset. Both numbers are the schedule's.

    Attributes:
        capacity: Number of rollouts kept on each process, first in, first out.
        buffer: The rollouts kept.
    """

    origins = ("dataset", "student")
    capacity: int = 1000
    buffer: list[Rollout] = field(default_factory=list, init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        u, threshold = draw.uniform("student or dataset"), draw.schedule["threshold"]
        if u >= threshold:
            return [of_dataset(example) for example in draw.examples]
        # A buffer smaller than a batch would repeat rows in it.
        short = len(self.buffer) < max(self.capacity, len(draw.examples))
        if u < draw.schedule["refresh"] or short:
            fresh = draw.student_responses(draw.examples)
            self.buffer = [*self.buffer, *fresh][-self.capacity :]
            return fresh
        return sample_without_repetition(self.buffer, len(draw.examples), draw.own_uniform)

    def state(self) -> dict[str, Any]:
        """The rollouts in the buffer."""
        return {"buffer": [rollout.as_json() for rollout in self.buffer]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Fill the buffer from a state."""
        self.buffer = [Rollout.from_json(rollout) for rollout in state["buffer"]]

    def __str__(self) -> str:
        return f"replay(student, {self.capacity})+dataset"


@dataclass
class WithPretraining(Source):
    """Another source, with plain texts added against forgetting.

    Attributes:
        source: The source of the responses.
        texts: Encoded texts of two or more tokens each.
    """

    source: Source
    texts: Sequence[tuple[int, ...]]

    @property
    def inner(self) -> Source:
        """The source that is wrapped."""
        return self.source.inner

    @property
    def uses_teacher(self) -> bool:  # type: ignore[override]
        """Whether the teacher takes part in the wrapped source's sampling."""
        return self.source.uses_teacher

    @property
    def samples(self) -> bool:
        """Whether the wrapped source does."""
        return self.source.samples

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the wrapped source."""
        return self.source.views

    @property
    def origins(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Those of the wrapped source, and the texts."""
        known = self.source.origins
        return None if known is None else (*known, "pretraining")

    def begin(self, context: "Context") -> None:
        """Begin the wrapped source."""
        self.source.begin(context)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's responses and as many texts; a text's first token is its prompt."""
        responses = self.source.rollouts(draw)
        uniforms = [draw.own_uniform(f"text {number}") for number in range(len(responses))]
        return responses + [self._text(uniform) for uniform in uniforms]

    def _text(self, uniform: float) -> Rollout:
        number = int(uniform * len(self.texts))
        first, *rest = self.texts[number]
        return Rollout(f"text-{number}", (first,), tuple(rest), "pretraining")

    def state(self) -> dict[str, Any]:
        """The wrapped source's state."""
        return self.source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the wrapped source."""
        self.source.restore(state)

    def __str__(self) -> str:
        return f"{self.source}+pretraining"


def sample_without_repetition(
    items: Sequence[Any], count: int, uniform: Callable[[str], float]
) -> list[Any]:
    """The first items of a shuffle.

    Args:
        items: The items to choose from.
        count: Number of items; if there are fewer, all are returned.
        uniform: Returns a number of [0, 1) for a name; the shuffle depends on nothing else.
    """
    shuffled = list(items)
    for place in range(min(count, len(shuffled))):
        other = place + int(uniform(f"place {place}") * (len(shuffled) - place))
        shuffled[place], shuffled[other] = shuffled[other], shuffled[place]
    return shuffled[:count]

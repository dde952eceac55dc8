"""Data sources: where the responses of an optimiser step come from.

A source gives the responses of one step on one process. All of its random draws are keyed by
(seed, step). So a resumed run draws the same, and all processes draw the same kind of batch.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Interface

from kdbench.generate.decoding.interleaved import Interleaving
from kdbench.views.rollout import Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.training.context import Context


class Draw(Interface):
    """What a source has access to in one step.

    Attributes:
        examples: The next examples of the training set; fewer at the end of an epoch.
        size: Number of examples of a whole step on this process.
        step: Number of the step, from 0.
        process: Number of this process, from 0.
        processes: Number of processes.
        schedule: The schedule's values.
    """

    examples: Sequence[Example]
    size: int
    step: int
    process: int
    processes: int
    schedule: Mapping[str, float]

    def uniform(self, name: str) -> float:
        """A number of [0, 1) keyed by seed, step and name: equal on all processes."""

    def own_uniform(self, name: str) -> float:
        """A number of [0, 1) keyed by seed, step, name and process."""

    def more_examples(self, count: int) -> list[Example]:
        """Up to `count` random examples of the training set, without repetition."""

    def stream(self, start: int, count: int) -> list[Example]:
        """Examples of this process's share of an endless stream, which no other process gets.

        The stream goes through the training set again and again, each time in a new order, and
        deals its examples out to the processes in turn. It depends on nothing but the seed.

        Args:
            start: How many examples the source has taken from it before.
            count: How many to give.
        """

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

    def interleaved_responses(
        self, examples: Sequence[Example], rule: Interleaving
    ) -> list[Rollout]:
        """Sample a response of the student to each example, in which the teacher replaces tokens.

        Args:
            examples: The examples to answer.
            rule: Which tokens are kept; each token has recorded `replaced`, 1 or 0.
        """

    def text(self, rollout: Rollout) -> str:
        """The text of a response, without special tokens."""

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The log-probability of each response token under a view's current model, row by row."""

    def entropies(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The entropy in nats of a view's distribution at each response token, row by row."""

    def divergences(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The KL divergence of the student from a view at each response token, row by row."""

    def note(self, name: str, value: float) -> None:
        """Add a value to the means of the log's next line."""

    def sum_over_processes(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each number over all processes; every process must call it."""


def with_examples(draw: Draw, examples: Sequence[Example]) -> Draw:
    """The same draw for a source that shall answer other examples."""
    other: Any = copy.copy(draw)
    other.examples = examples
    return other  # type: ignore[no-any-return]


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
        fields: The fields of examples that it reads; every training row must have them.
        per_example: The number of responses to an example, for estimates.
        mixes_teacher: Whether teacher and student sample a response together, token by token.
        plans_ahead: Whether what a step asks the student for depends on nothing but the step's draw
            without its schedule, is asked for before anything else, and all at once; so that it can
            be found out some steps before.
    """

    uses_teacher: bool = False
    views: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    fields: tuple[str, ...] = ()
    per_example: int = 1
    mixes_teacher: bool = False
    plans_ahead: bool = False

    def __repr__(self) -> str:
        return type(self).__name__  # without an address, which differs in a resumed run

    def check(self, train: Sequence[Example]) -> None:
        """Check the training set, before a model is loaded."""

    def begin(self, context: "Context") -> None:
        """Look at models and data once, before training begins or resumes."""

    @property
    def gives_samples(self) -> bool:
        """Whether it may give responses that are sampled during training."""
        known = {"dataset", "teacher", "pretraining"}  # the teacher's are sampled before
        return self.uses_teacher or self.origins is None or not set(self.origins) <= known

    @property
    def inner(self) -> "Source":
        """The source that a wrapper wraps; otherwise the source itself."""
        return self

    def prompts_per_step(self, size: int) -> float:
        """How many new prompts a step of `size` responses uses, on average, on all processes.

        `epochs=` counts with it: an epoch uses as many prompts as the training set has.
        """
        return float(size)

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

    Attributes:
        truncated_end: Whether a response that was cut at `max_new_tokens=` gets an end token all
            the same: `omit` or `append`.
    """

    origins = ("teacher",)
    truncated_end: Literal["omit", "append"] = "omit"

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example: the one that the example holds."""
        return [replace(of_dataset(example), origin="teacher") for example in draw.examples]

    def __str__(self) -> str:
        return "teacher" if self.truncated_end == "omit" else "teacher(truncated_end=append)"


@dataclass
class FromStudent(Source):
    """New samples of the current student.

    Attributes:
        fraction: Probability that a step uses them and not the dataset's responses. A batch is of
            one kind, on all processes.
    """

    origins = ("dataset", "student")
    plans_ahead = True
    fraction: float = 1.0

    @property
    def gives_samples(self) -> bool:
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

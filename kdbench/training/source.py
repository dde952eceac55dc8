"""A data source: where the responses of an optimiser step come from.

A source answers for one step at a time and for one process. Whatever it draws at random is keyed by
(seed, step), so a resumed run draws the same, and all processes draw the same kind of batch.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

from kdbench.views.rollout import Example, Rollout, of_dataset


class Draw(Interface):
    """What a source may use in one step.

    Attributes:
        examples: the next rows of the training set; fewer at the end of an epoch.
        size: number of rows of a whole step.
        step: number of the step, from 0.
        schedule: the schedule's values.
    """

    examples: Sequence[Example]
    size: int
    step: int
    schedule: Mapping[str, float]

    def uniform(self, name: str) -> float:
        """A number of [0, 1) that depends on seed, step and name: equal on every process."""

    def own_uniform(self, name: str) -> float:
        """The same, different on every process."""

    def more_examples(self, count: int) -> list[Example]:
        """Rows of the training set at random, without repetition while there are enough."""

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Sample a response to each, from the student or from its mixture with the teacher."""

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """Log-probability of each response token under a view as it is now."""


def keyed_uniform(*key: object) -> float:
    """A number of [0, 1) from the SHA-256 of a key."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


class Source:
    """Where responses come from. A subclass with a memory says what its state is.

    Attributes:
        uses_teacher: whether the teacher takes part in sampling during training.
    """

    uses_teacher: bool = False

    @property
    def inner(self) -> "Source":
        """What a wrapper wraps, or the source itself."""
        return self

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses of one step."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """JSON-ready; all that `restore` needs."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""


@dataclass
class FromDataset(Source):
    """The training set's own responses."""

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One for each example."""
        return [of_dataset(example) for example in draw.examples]

    def __str__(self) -> str:
        return "dataset"


@dataclass
class FromTeacher(FromDataset):
    """The teacher's responses to the training prompts (sequence-level distillation).

    They are sampled once, before training, and kept as a data set that later runs share; the
    trainer then gives them as the examples' responses.
    """

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One for each example, which holds the teacher's response."""
        return [Rollout(e.id, e.prompt_ids, e.response_ids, "teacher") for e in draw.examples]

    def __str__(self) -> str:
        return "teacher"


@dataclass
class FromStudent(Source):
    """Fresh samples of the student as it is.

    Attributes:
        fraction: probability that a step takes them and not the dataset's; a whole batch is of one
            kind, on all processes.
    """

    fraction: float = 1.0

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One for each example."""
        if draw.uniform("student or dataset") < self.fraction:
            return draw.student_responses(draw.examples)
        return [of_dataset(example) for example in draw.examples]

    def __str__(self) -> str:
        return "student" if self.fraction == 1 else f"student({self.fraction:g})+dataset"


@dataclass
class FromReplay(Source):
    """DistiLLM's adaptive off-policy source.

    With u uniform: below `refresh` (or below `threshold` while the buffer is not full) the student
    samples afresh, into the buffer; else below `threshold` rows come from the buffer; else from
    the dataset. Both numbers are the schedule's.

    Attributes:
        capacity: rollouts kept on each process, first in first out.
    """

    capacity: int = 1000
    buffer: list[Rollout] = field(default_factory=list, init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One for each example."""
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
        """The buffer."""
        return {"buffer": [one.as_json() for one in self.buffer]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Fill the buffer."""
        self.buffer = [Rollout.from_json(one) for one in state["buffer"]]

    def __str__(self) -> str:
        return f"replay(student, {self.capacity})+dataset"


Record = Callable[[Draw, Sequence[Rollout]], list[Rollout]]


@dataclass
class FromMixture(Source):
    """MiniLLM's teacher-mixed sampling, with several passes over each set of rollouts.

    Attributes:
        teacher_weight: share of the teacher in each token's distribution.
        batches: steps' worth of rollouts that are sampled together.
        passes: how often each rollout is trained on (PPO epochs).
        record: adds the scalars that the objective needs, at sampling.
    """

    teacher_weight: float
    batches: int
    passes: int
    record: Record
    uses_teacher: bool = field(default=True, init=False)
    pending: list[list[Rollout]] = field(default_factory=list, init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The next batch of the rollouts at hand; new ones when they are used up."""
        if not self.pending:
            self.pending = self._sample(draw)
        batch, *self.pending = self.pending
        return batch

    def _sample(self, draw: Draw) -> list[list[Rollout]]:
        size, found = draw.size, draw.examples
        prompts = [*found, *draw.more_examples(size * self.batches - len(found))]
        pool = self.record(draw, draw.student_responses(prompts, self.teacher_weight))
        batches = []
        for turn in range(self.passes):
            order = self._shuffled(range(len(pool)), draw, turn)
            batches += [
                [pool[place] for place in order[start : start + size]]
                for start in range(0, len(order), size)
            ]
        return batches

    @staticmethod
    def _shuffled(places: Sequence[int], draw: Draw, turn: int) -> list[int]:
        return sample_without_repetition(
            places, len(places), lambda name: draw.own_uniform(f"pass {turn} {name}")
        )

    def state(self) -> dict[str, Any]:
        """The rollouts still to be trained on."""
        return {"pending": [[one.as_json() for one in batch] for batch in self.pending]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with these rollouts."""
        self.pending = [[Rollout.from_json(one) for one in batch] for batch in state["pending"]]

    def __str__(self) -> str:
        return (
            f"student mixed with {self.teacher_weight:g} teacher "
            f"({self.batches} batches, {self.passes} passes)"
        )


@dataclass
class WithPretraining(Source):
    """Another source, and plain text beside it against forgetting.

    Attributes:
        source: gives the responses.
        texts: encoded texts of two or more tokens.
    """

    source: Source
    texts: Sequence[tuple[int, ...]]

    @property
    def inner(self) -> Source:
        """The wrapped source."""
        return self.source.inner

    @property
    def uses_teacher(self) -> bool:  # type: ignore[override]
        """As the wrapped source."""
        return self.source.uses_teacher

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's, and as many texts; a text's first token is its prompt."""
        found = self.source.rollouts(draw)
        return found + [self._text(draw.own_uniform(f"text {n}")) for n in range(len(found))]

    def _text(self, uniform: float) -> Rollout:
        number = int(uniform * len(self.texts))
        first, *rest = self.texts[number]
        return Rollout(f"text-{number}", (first,), tuple(rest), "pretraining")

    def state(self) -> dict[str, Any]:
        """The inner source's."""
        return self.source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Of the inner source."""
        self.source.restore(state)

    def __str__(self) -> str:
        return f"{self.source}+pretraining"


def sample_without_repetition(
    items: Sequence[Any], count: int, uniform: Callable[[str], float]
) -> list[Any]:
    """The first `count` of a shuffle that depends on the keyed uniform numbers alone."""
    left = list(items)
    for place in range(min(count, len(left))):
        other = place + int(uniform(f"place {place}") * (len(left) - place))
        left[place], left[other] = left[other], left[place]
    return left[:count]

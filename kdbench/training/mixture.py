"""MiniLLM's data source: rollouts of a mixture of student and teacher, used several times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kdbench.training.source import Draw, Source, sample_without_repetition
from kdbench.views.rollout import Rollout

Record = Callable[[Draw, Sequence[Rollout]], list[Rollout]]


@dataclass
class FromMixture(Source):
    """MiniLLM's teacher-mixed sampling, with several passes over each set of rollouts.

    The prompts are those of a stream of their own, in which each prompt of the training set occurs
    once before any occurs again. So an epoch has `passes` times as many steps as that of another
    method. Rollouts still pending when training ends are not used.

    Attributes:
        teacher_weight: The teacher's share of each token's distribution, 0 to 1.
        batches: Number of steps whose rollouts are sampled together.
        passes: Number of times that each rollout is trained on (PPO epochs).
        record: Adds the scalars that the objective needs, at sampling.
        pending: The batches of rollouts still to be trained on.
        drawn: Number of prompts that this process has taken from the stream.
    """

    origins = ("student",)
    teacher_weight: float
    batches: int
    passes: int
    record: Record
    uses_teacher: bool = field(default=True, init=False)
    pending: list[list[Rollout]] = field(default_factory=list, init=False)
    drawn: int = field(default=0, init=False)

    @property
    def mixes_teacher(self) -> bool:  # type: ignore[override]
        """Whether the teacher has a share."""
        return self.teacher_weight > 0

    def prompts_per_step(self, size: int) -> float:
        """A prompt serves `passes` steps."""
        return size / self.passes

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The next pending batch; new rollouts are sampled when there is none left."""
        if not self.pending:
            self.pending = self._sample(draw)
        batch, *self.pending = self.pending
        return batch

    def _sample(self, draw: Draw) -> list[list[Rollout]]:
        prompts = draw.stream(self.drawn, draw.size * self.batches)
        self.drawn += len(prompts)
        pool = self.record(draw, draw.student_responses(prompts, self.teacher_weight))
        return [
            batch
            for number in range(self.passes)
            for batch in _batches(pool, draw.size, partial(_uniform, draw, number))
        ]

    def state(self) -> dict[str, Any]:
        """The pending rollouts and the place in the stream."""
        return {
            "pending": [[rollout.as_json() for rollout in batch] for batch in self.pending],
            "drawn": self.drawn,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the pending rollouts of a state; earlier versions had no stream."""
        self.drawn = state.get("drawn", 0)
        self.pending = [
            [Rollout.from_json(rollout) for rollout in batch] for batch in state["pending"]
        ]

    def __str__(self) -> str:
        return (
            f"student mixed with {self.teacher_weight:g} teacher "
            f"({self.batches} batches, {self.passes} passes)"
        )


def _batches(
    pool: Sequence[Rollout], size: int, uniform: Callable[[str, str], float]
) -> list[list[Rollout]]:
    """The batches of a pass over a pool, in random order.

    The pool is dealt out to `size` columns, and a batch takes one rollout of each. A column's order
    depends on its first rollout alone. So with more processes, which have fewer columns each, the
    batches are the same.
    """
    columns = [pool[place::size] for place in range(size)]
    shuffled = [
        sample_without_repetition(column, len(column), partial(uniform, column[0].id))
        for column in columns
    ]
    return [list(batch) for batch in zip(*shuffled, strict=True)]


def _uniform(draw: Draw, number: int, column: str, name: str) -> float:
    return draw.uniform(f"pass {number} column {column} {name}")

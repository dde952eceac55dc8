"""MiniLLM's data source: rollouts of a mixture of student and teacher, used several times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdbench.training.source import Draw, Source, sample_without_repetition
from kdbench.views.rollout import Example, Rollout

Record = Callable[[Draw, Sequence[Rollout]], list[Rollout]]


@dataclass
class FromMixture(Source):
    """MiniLLM's teacher-mixed sampling, with several passes over each set of rollouts.

    The last examples of steps in which nothing is sampled are the prompts of the next set, as many
    as it needs; the others are skipped. So with the default keys of `minillm`, an epoch of 6,000
    examples at batch size 32 has 188 steps but samples only 1,536 responses, to 23 % of the
    prompts. Rollouts still pending when training ends are not used.

    Attributes:
        teacher_weight: The teacher's share of each token's distribution, 0 to 1.
        batches: Number of steps whose rollouts are sampled together.
        passes: Number of times that each rollout is trained on (PPO epochs).
        record: Adds the scalars that the objective needs, at sampling.
        pending: The batches of rollouts still to be trained on.
        waiting: Examples of steps in which nothing was sampled.
    """

    origins = ("student",)
    teacher_weight: float
    batches: int
    passes: int
    record: Record
    uses_teacher: bool = field(default=True, init=False)
    pending: list[list[Rollout]] = field(default_factory=list, init=False)
    waiting: list[Example] = field(default_factory=list, init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The next pending batch; new rollouts are sampled when there is none left."""
        if self.pending:
            waiting, room = [*self.waiting, *draw.examples], draw.size * (self.batches - 1)
            self.waiting = waiting[max(0, len(waiting) - room) :]
        else:
            self.pending = self._sample(draw)
        batch, *self.pending = self.pending
        return batch

    def _sample(self, draw: Draw) -> list[list[Rollout]]:
        size = draw.size
        prompts = [*draw.examples, *self.waiting][: size * self.batches]
        prompts += draw.more_examples(size * self.batches - len(prompts))
        self.waiting = []
        pool = self.record(draw, draw.student_responses(prompts, self.teacher_weight))
        batches = []
        for number in range(self.passes):
            order = self._shuffled(range(len(pool)), draw, number)
            batches += [
                [pool[place] for place in order[start : start + size]]
                for start in range(0, len(order), size)
            ]
        return batches

    @staticmethod
    def _shuffled(places: Sequence[int], draw: Draw, number: int) -> list[int]:
        return sample_without_repetition(
            places, len(places), lambda name: draw.own_uniform(f"pass {number} {name}")
        )

    def state(self) -> dict[str, Any]:
        """The pending rollouts and the waiting examples."""
        return {
            "pending": [[rollout.as_json() for rollout in batch] for batch in self.pending],
            "waiting": [_waiting(example).as_json() for example in self.waiting],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the pending rollouts and waiting examples of a state."""
        waiting = [Rollout.from_json(rollout) for rollout in state["waiting"]]
        self.waiting = [Example(row.id, row.prompt_ids, row.response_ids) for row in waiting]
        self.pending = [
            [Rollout.from_json(rollout) for rollout in batch] for batch in state["pending"]
        ]

    def __str__(self) -> str:
        return (
            f"student mixed with {self.teacher_weight:g} teacher "
            f"({self.batches} batches, {self.passes} passes)"
        )


def _waiting(example: Example) -> Rollout:
    """An example as it is stored; it is only answered, so the prompt is what counts."""
    return Rollout(example.id, example.prompt_ids, example.response_ids, "dataset")

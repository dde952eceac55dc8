"""One optimiser step of one process, as its data source sees it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.generate import Row
from kdbench.training.rollout import Example, Rollout
from kdbench.training.source import keyed_uniform, sample_without_repetition

if TYPE_CHECKING:
    from kdbench.training.trainer import DistillationTrainer


class StepDraw:
    """What `kdbench.training.source.Draw` promises, from the trainer.

    Args:
        trainer: samples and scores.
        examples: this process's rows of the step.
        schedule: the schedule's values.
    """

    def __init__(
        self,
        trainer: "DistillationTrainer",
        examples: Sequence[Example],
        schedule: Mapping[str, float],
    ):
        self._trainer = trainer
        self.examples, self.schedule = examples, schedule
        self.step = trainer.state.global_step

    def uniform(self, name: str) -> float:
        """Equal on every process."""
        return keyed_uniform(self._trainer.args.seed, self.step, name)

    def own_uniform(self, name: str) -> float:
        """Different on every process."""
        rank = self._trainer.accelerator.process_index
        return keyed_uniform(self._trainer.args.seed, self.step, name, rank)

    def more_examples(self, count: int) -> list[Example]:
        """Rows at random."""
        if not count:
            return []
        known = self._trainer.work.train
        return sample_without_repetition(known, count, lambda n: self.own_uniform(f"more {n}"))

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Fresh samples.

        The noise belongs to step, example and the how-many-eth response to it, not to a process or
        a place in the batch; so the responses do not depend on how the rows are shared out.
        """
        seed, asked = math.floor(2**40 * self.uniform("noise")), Counter[str]()
        rows = []
        for one in examples:
            rows.append(Row(one.id, seed + asked[one.id], one.prompt_ids))
            asked[one.id] += 1
        samples = self._trainer.sample(rows, teacher_weight)
        return [
            Rollout(one.id, one.prompt_ids, sample.tokens, "student")
            for one, sample in zip(examples, samples, strict=True)
        ]

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """Of each response token, under a view as it is now."""
        return self._trainer.score(rollouts, view)

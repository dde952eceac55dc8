"""One optimiser step of one process, as its data source sees it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol as Interface

from kdbench.generate import Row, Sample
from kdbench.training.source import keyed_uniform, sample_without_repetition
from kdbench.views.rollout import Example, Rollout


class Models(Interface):
    """What a step may ask of the models."""

    def sample(self, rows: Sequence[Row], teacher_weight: float = 0.0) -> list[Sample]:
        """Responses of the student, or of its mixture with the teacher, in the rows' order."""

    def score(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """Log-probability of each response token under a view as it is now."""


class StepDraw:
    """What `kdbench.training.source.Draw` promises.

    Args:
        models: sample and score.
        key: seed, step, and number of this process.
        examples: this process's rows of the step.
        size: number of rows of a whole step.
        everything: the whole training set.
        schedule: the schedule's values.
    """

    def __init__(
        self,
        models: Models,
        key: tuple[int, int, int],
        examples: Sequence[Example],
        size: int,
        everything: Sequence[Example],
        schedule: Mapping[str, float],
    ):
        self._models, self._everything = models, everything
        self._seed, self.step, self._process = key
        self.examples, self.size, self.schedule = examples, size, schedule

    def uniform(self, name: str) -> float:
        """Equal on every process."""
        return keyed_uniform(self._seed, self.step, name)

    def own_uniform(self, name: str) -> float:
        """Different on every process."""
        return keyed_uniform(self._seed, self.step, name, self._process)

    def more_examples(self, count: int) -> list[Example]:
        """Rows at random."""
        if not count:
            return []
        uniform = self.own_uniform
        return sample_without_repetition(self._everything, count, lambda n: uniform(f"more {n}"))

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
        samples = self._models.sample(rows, teacher_weight)
        return [
            Rollout(one.id, one.prompt_ids, sample.tokens, "student")
            for one, sample in zip(examples, samples, strict=True)
        ]

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """Of each response token, under a view as it is now."""
        return self._models.score(rollouts, view)

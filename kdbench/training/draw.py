"""One optimiser step on one process, as its data source sees it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from kdbench.generate import Row
from kdbench.training.sampling import RolloutSampler
from kdbench.training.source import keyed_uniform, sample_without_repetition
from kdbench.training.weight import SumOverProcesses
from kdbench.views.rollout import Example, Rollout


class StepDraw:
    """Implements `kdbench.training.source.Draw`.

    Args:
        sampler: Samples responses and scores tokens.
        seed: The run's seed.
        step: The number of the step, from 0.
        process: The number of this process.
        examples: This process's examples of the step.
        size: The number of examples of a whole step on this process.
        train: The whole training set.
        schedule: The schedule's values.
        sum_over_processes: Returns the sums of numbers over all processes.
    """

    def __init__(
        self,
        sampler: RolloutSampler,
        seed: int,
        step: int,
        process: int,
        examples: Sequence[Example],
        size: int,
        train: Sequence[Example],
        schedule: Mapping[str, float],
        sum_over_processes: SumOverProcesses = list,
    ):
        self._sampler, self._train = sampler, train
        self._sum_over_processes = sum_over_processes
        self._seed, self.step, self._process = seed, step, process
        self.examples, self.size, self.schedule = examples, size, schedule

    def uniform(self, name: str) -> float:
        """A number of [0, 1) that is equal on every process."""
        return keyed_uniform(self._seed, self.step, name)

    def own_uniform(self, name: str) -> float:
        """A number of [0, 1) that is different on every process."""
        return keyed_uniform(self._seed, self.step, name, self._process)

    def more_examples(self, count: int) -> list[Example]:
        """Examples of the training set, drawn at random."""
        if not count:
            return []
        uniform = self.own_uniform
        return sample_without_repetition(self._train, count, lambda n: uniform(f"more {n}"))

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Sample a new response to each example.

        The sampling noise depends on the step, the example, and how often that example has
        occurred before in the list, but not on the process or the place in the batch. So the
        responses do not depend on how the rows are distributed over processes.
        """
        seed, occurrences = math.floor(2**40 * self.uniform("noise")), Counter[str]()
        rows = []
        for example in examples:
            rows.append(Row(example.id, seed + occurrences[example.id], example.prompt_ids))
            occurrences[example.id] += 1
        samples = self._sampler.sample(rows, teacher_weight)
        return [
            Rollout(example.id, example.prompt_ids, sample.tokens, "student")
            for example, sample in zip(examples, samples, strict=True)
        ]

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The log-probability of each response token under a view's current model."""
        return self._sampler.score(rollouts, view)

    def sum_over_processes(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each number over all processes."""
        return self._sum_over_processes(numbers)

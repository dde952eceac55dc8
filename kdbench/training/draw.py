"""One optimiser step on one process, as its data source sees it."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from kdbench.generate import Row
from kdbench.generate.decoding.interleaved import Interleaving
from kdbench.training.sampling import RolloutSampler
from kdbench.training.source import keyed_uniform, sample_without_repetition
from kdbench.training.weight import SumOverProcesses
from kdbench.views.rollout import Example, Rollout, weight_of


class StepDraw:
    """Implements `kdbench.training.source.Draw`.

    Args:
        sampler: Samples responses and scores tokens.
        seed: The run's seed.
        step: The number of the step, from 0.
        process: The number of this process, from 0.
        examples: This process's examples of the step.
        size: The number of examples of a whole step on this process.
        train: The whole training set.
        schedule: The schedule's values.
        sum_over_processes: Returns the sums of numbers over all processes.
        note: Adds a value to the means of the log's next line.
        processes: The number of processes.
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
        note: Callable[[str, float], None] | None = None,
        processes: int = 1,
    ):
        self._sampler, self._train, self._note = sampler, train, note
        self._sum_over_processes = sum_over_processes
        self._seed, self.step = seed, step
        self.process, self.processes = process, processes
        self.examples, self.size, self.schedule = examples, size, schedule

    def uniform(self, name: str) -> float:
        """A number of [0, 1) that is equal on every process."""
        return keyed_uniform(self._seed, self.step, name)

    def own_uniform(self, name: str) -> float:
        """A number of [0, 1) that is different on every process."""
        return keyed_uniform(self._seed, self.step, name, self.process)

    def more_examples(self, count: int) -> list[Example]:
        """Examples of the training set, drawn at random."""
        if not count:
            return []
        uniform = self.own_uniform
        return sample_without_repetition(self._train, count, lambda n: uniform(f"more {n}"))

    def stream(self, start: int, count: int) -> list[Example]:
        """Examples of this process's share of an endless stream through the training set."""
        examples, size = [], len(self._train)
        for number in range(start, start + count):
            epoch, place = divmod(number * self.processes + self.process, size)
            examples.append(self._train[_order(self._seed, epoch, size)[place]])
        return examples

    def pool(self, where: Callable[[Example], bool]) -> list[Example]:
        """All examples of the training set that fulfil a condition."""
        return [example for example in self._train if where(example)]

    def student_responses(
        self, examples: Sequence[Example], teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Sample a new response to each example; see `_sampled`."""
        return self._sampled(examples, "student", teacher_weight)

    def responses(
        self, examples: Sequence[Example], view: str = "student", samples: int = 1
    ) -> list[Rollout]:
        """Sample new responses from a view; see `_sampled`."""
        repeated = [example for example in examples for _ in range(samples)]
        return self._sampled(repeated, view)

    def _sampled(
        self, examples: Sequence[Example], view: str, teacher_weight: float = 0.0
    ) -> list[Rollout]:
        """Sample a new response to each example.

        The sampling noise depends on the step, the example, and how often that example has
        occurred before in the list, but not on the process or the place in the batch. So the
        responses do not depend on how the rows are distributed over processes.
        """
        asked, rows = self._asked(examples, view)
        return self._sampler.respond(asked, rows, self.step, view, teacher_weight)

    def _asked(self, examples: Sequence[Example], view: str) -> tuple[list[Rollout], list[Row]]:
        """Rollouts without a response yet, and what is asked for it."""
        noise = "noise" if view == "student" else f"noise of {view}"
        seed, occurrences = math.floor(2**40 * self.uniform(noise)), Counter[str]()
        asked = [
            Rollout(e.id, e.prompt_ids, (), view, example=e, weight=weight_of(e)) for e in examples
        ]
        rows = []
        for rollout, prompt in zip(asked, self._sampler.prompts(asked, view), strict=True):
            rows.append(Row(rollout.id, seed + occurrences[rollout.id], prompt))
            occurrences[rollout.id] += 1
        return asked, rows

    def interleaved_responses(
        self, examples: Sequence[Example], rule: Interleaving
    ) -> list[Rollout]:
        """Sample a new response of the student to each example, some of its tokens the teacher's.

        With the noise of `student_responses`, so that a rule that keeps all tokens gives the same.
        """
        asked, rows = self._asked(examples, "student")
        answers, replaced = self._sampler.sample_interleaved(rows, rule)
        return [
            rollout.answered(answer.tokens).with_recorded(replaced=origins)
            for rollout, answer, origins in zip(asked, answers, replaced, strict=True)
        ]

    def text(self, rollout: Rollout) -> str:
        """The text of a response, without special tokens."""
        return self._sampler.text(rollout)

    def note(self, name: str, value: float) -> None:
        """Add a value to the means of the log's next line."""
        if self._note is not None:
            self._note(name, value)

    def target_log_probs(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The log-probability of each response token under a view's current model."""
        return self._sampler.score(rollouts, view)

    def entropies(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """The entropy in nats of a view's distribution at each response token."""
        return self._sampler.score(rollouts, view, "entropy")

    def divergences(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """KL(view‖student) in nats at each response token."""
        return self._sampler.score(rollouts, view, "divergence")

    def sum_over_processes(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each number over all processes."""
        return self._sum_over_processes(numbers)


@lru_cache(maxsize=2)  # a set of prompts may lie in two epochs
def _order(seed: int, epoch: int, size: int) -> tuple[int, ...]:
    """The order in which the stream of `StepDraw.stream` goes through the training set."""
    return tuple(
        sample_without_repetition(
            range(size), size, lambda name: keyed_uniform(seed, "stream", epoch, name)
        )
    )

"""The mean of a recipe over training seeds, sampling seeds and prompts, and what it varies with.

A score y[t, s, p] is that of training seed t, sampling seed s and prompt p. Training seeds and
prompts are crossed: every student answers the same prompts. Sampling seeds are averaged within each
student and prompt, because they are not independent students.

Of the T × N means over sampling seeds, the two-way analysis of variance with random effects
(Scheffé 1959, "The Analysis of Variance", chapter 7) gives mean squares of training seeds, of
prompts and of what is left. The mean over all has the variance

    (MS_training + MS_prompts − MS_rest) / (T N).

For a plain mean over tasks, the first part is the variance between the students' averages over
T, since a good student is good at all tasks, and the others add up over tasks. The degrees of
freedom are those of Satterthwaite (1946). How often the interval covers the truth with few training
seeds is in `benchmarks/RESULTS.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

import numpy as np

from kdbench.stats.mean import CONFIDENCE, Moments


@dataclass(frozen=True)
class MeanTest:
    """The test of a recipe's mean, which asks both errors and believes the more doubtful one.

    With few training seeds Satterthwaite's degrees of freedom are too many where the trainings vary
    much more than the prompts. Student's t over the trainings' averages, with one degree of freedom
    less than there are trainings, is exact there.

    Attributes:
        moments: Moments of the mean over training seeds and prompts.
        averages: Moments of the mean of the trainings' averages, for the prompts that there are.
    """

    moments: Moments
    averages: Moments

    @property
    def mean(self) -> float:
        """The mean."""
        return self.moments.mean

    def p_value(self, shift: float = 0.0) -> float:
        """The two-sided p-value of the null hypothesis that the mean is `shift`."""
        return max(self.moments.p_value(shift), self.averages.p_value(shift))

    def interval(self, alpha: float) -> tuple[float, float]:
        """The shifts whose p-value exceeds alpha.

        Args:
            alpha: 1 - coverage.
        """
        lows, highs = zip(self.moments.students(alpha), self.averages.students(alpha), strict=True)
        return min(lows), max(highs)

    def shown_interval(self, scale: tuple[float, float] | None = None) -> tuple[float, float]:
        """The 95 % interval to print, which also allows for skewness and the ends of a scale.

        Args:
            scale: Ends of the scale on which scores lie; None if it has none.
        """
        (low, high), (lowest, highest) = self.moments.interval(scale), self.interval(1 - CONFIDENCE)
        low, high = min(low, lowest), max(high, highest)
        if scale is None or not scale[0] <= self.mean <= scale[1]:
            return low, high
        return max(scale[0], low), min(scale[1], high)

    def detectable(self, alpha: float, power: float) -> float:
        """The smallest change of the mean that the test detects.

        Args:
            alpha: Level of the test.
            power: Probability of detecting the change.
        """
        tests = self.moments, self.averages
        return max(test.detectable(alpha, power) for test in tests)


@dataclass(frozen=True)
class Variances:
    """How much a mean varies, as standard deviations of what redrawing one thing would change.

    Attributes:
        prompts: Other prompts, as many as there are.
        training: Another training seed, of one student.
        sampling: Another sampling seed, of one student; None for one sampling seed.
        test: Test of the mean over all.
        parts: What each task adds to the variance of the mean.
        trained: Number of training seeds.
    """

    prompts: float
    training: float
    sampling: float | None
    test: MeanTest
    parts: tuple["TaskPart", ...] = field(repr=False)
    trained: int

    @property
    def moments(self) -> Moments:
        """Moments of the mean over training seeds and prompts."""
        return self.test.moments

    def with_trainings(self, trained: int, share: float = 1.0) -> MeanTest:
        """The test of the mean with other numbers of training seeds and prompts.

        Args:
            trained: Number of training seeds, at least two.
            share: Number of prompts, in numbers of those that there are.
        """
        parts = [part.scaled(self.trained / trained, share) for part in self.parts]
        between = self.training**2 / trained + sum(part.rest for part in parts)
        return _test(self.moments.mean, between, parts, trained)

    def of_difference(self) -> "Variances":
        """The variances of the difference of two such recipes, equally good on every prompt."""
        parts = tuple(
            replace(part, prompts=2 * part.rest, rest=2 * part.rest) for part in self.parts
        )
        between = 2 * self.training**2 / self.trained + sum(part.rest for part in parts)
        test = _test(0.0, between, parts, self.trained)
        sampling = None if self.sampling is None else sqrt(2) * self.sampling
        return Variances(0.0, sqrt(2) * self.training, sampling, test, parts, self.trained)


def variances(tasks: Sequence[np.ndarray]) -> Variances:
    """Estimate the variances of a recipe's mean, a plain mean over tasks.

    Args:
        tasks: Scores of each task, shape (training seeds, sampling seeds, prompts); at least two
            training seeds, the same for all tasks, and two prompts.
    """
    parts = [TaskPart.of(scores.mean(axis=1), len(tasks)) for scores in tasks]
    averages = np.mean([scores.mean(axis=(1, 2)) for scores in tasks], axis=0)
    trained = len(averages)
    between = float(averages.var(ddof=1)) / trained
    rest = sum(part.rest for part in parts)
    of_prompts = sum(part.prompts - part.rest for part in parts)
    return Variances(
        prompts=sqrt(max(0.0, of_prompts)),
        training=sqrt(max(0.0, between - rest) * trained),
        sampling=_sampling(tasks),
        test=_test(float(averages.mean()), between, parts, trained),
        parts=tuple(parts),
        trained=trained,
    )


@dataclass(frozen=True)
class TaskPart:
    """What one task adds to the variance of the mean.

    Attributes:
        prompts: MS_prompts / (T N), over the squared number of tasks.
        rest: MS_rest / (T N), likewise.
        third: Third central moment of the mean over prompts, over the cubed number of tasks.
        n: Number of prompts; a planned one need not be whole.
    """

    prompts: float
    rest: float
    third: float
    n: float

    def scaled(self, ratio: float, share: float) -> "TaskPart":
        """The part with other numbers of training seeds and prompts.

        Args:
            ratio: Present number of training seeds over the other number.
            share: Other number of prompts over the present number.
        """
        rest = ratio * self.rest / share
        of_prompts = max(0.0, self.prompts - self.rest) / share
        return TaskPart(of_prompts + rest, rest, self.third / share**2, max(2.0, self.n * share))

    @classmethod
    def of(cls, means: np.ndarray, tasks: int) -> "TaskPart":
        """The part of a task.

        Args:
            means: Means over sampling seeds, shape (training seeds, prompts).
            tasks: Number of tasks.
        """
        trained, n = means.shape
        by_prompt = means.mean(axis=0)
        deviations = by_prompt - by_prompt.mean()
        rest = means - means.mean(axis=1, keepdims=True) - deviations
        prompts = float((deviations**2).sum()) / ((n - 1) * n)
        left = float((rest**2).sum()) / ((trained - 1) * (n - 1)) / (trained * n)
        third = float((deviations**3).mean()) / n**2
        return cls(prompts / tasks**2, left / tasks**2, third / tasks**3, n)


def _test(mean: float, between: float, parts: Sequence[TaskPart], trained: int) -> MeanTest:
    averages = Moments(mean, sqrt(between), 0.0, trained - 1)
    return MeanTest(_moments(mean, between, parts, trained), averages)


def _moments(mean: float, between: float, parts: Sequence[TaskPart], trained: int) -> Moments:
    """The moments of the mean, whose error is at least that of the prompts alone.

    Only prompts give enough numbers for a skewness.
    """
    between = max(between, sum(part.rest for part in parts))  # a negative variance is none
    total = between + sum(part.prompts - part.rest for part in parts)
    if total <= 0:
        return Moments(mean, 0.0, 0.0, trained - 1)
    squares = between**2 / (trained - 1) + sum(
        part.prompts**2 / (part.n - 1) + part.rest**2 / ((trained - 1) * (part.n - 1))
        for part in parts
    )
    skewness = sum(part.third for part in parts) / total**1.5
    return Moments(mean, sqrt(total), skewness, max(1.0, total**2 / squares))


def _sampling(tasks: Sequence[np.ndarray]) -> float | None:
    """Standard deviation of a student's mean between sampling seeds, root mean square over them."""
    if any(scores.shape[1] < 2 for scores in tasks):
        return None
    by_seed = [scores.mean(axis=2).var(axis=1, ddof=1).mean() for scores in tasks]
    return float(np.sqrt(np.sum(by_seed))) / len(tasks)

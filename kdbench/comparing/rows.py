"""Testing the rows of a comparison: paired scores become sign-flip tests, and these become rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import inf

import numpy as np

from kdbench.comparing.model import ComparedRow, RowTestMethod, WorstPrompt
from kdbench.comparing.pairing import PairedScores
from kdbench.comparing.scores import PromptScores
from kdbench.comparing.tolerance import Tolerance, gain_sign
from kdbench.comparing.training import TrainingTest, deviations, training_test
from kdbench.comparing.verdict import Rules, is_within, judge
from kdbench.stats.bootstrap import average_interval
from kdbench.stats.estimates import finite_or_none
from kdbench.stats.paired import (
    Flips,
    average_flips,
    can_reject,
    detectable_errors,
    equal_sizes_p,
    exact_limit,
    holm,
    prompts_needed,
    sign_flips,
    standard_error,
)
from kdbench.stats.skew import SkewTest, skew_test
from kdbench.text import AVERAGE

_WORST = 5
_TOP = {"points": 100.0, "rate": 1.0}  # the largest score of a unit


@dataclass(frozen=True)
class RowTest:
    """The tests of one row, before the correction over all rows.

    It works on gains: differences with the sign that makes positive ones better.

    Attributes:
        task: Name of the task, or `AVG`.
        metric: Name of the metric.
        kind: Scores that give the metric's unit and direction.
        sign: Factor that turns a change into a gain.
        pairs: Paired scores of the row's tasks: of one task, or of all for `AVG`.
        requested: Tolerance as requested.
        flips: Sign flips of the mean gain.
        flips_p: Two-sided p-value of the sign flips against "no change".
        skew: Test of the mean gain that allows for skew; None for binary scores, whose differences
            all have the same size.
        trainings: Test over training seeds and prompts; None unless both sides are recipes.
        category: Category of the task's prompts; None for all prompts.
    """

    task: str
    metric: str
    kind: PromptScores
    sign: int
    pairs: Mapping[str, PairedScores]
    requested: Tolerance
    flips: Flips
    flips_p: float
    skew: SkewTest | None
    trainings: TrainingTest | None = None
    category: str | None = None

    @cached_property
    def base(self) -> float:
        """Mean over the row's tasks of the base's means."""
        return float(np.mean([paired.base.mean() for paired in self.pairs.values()]))

    @cached_property
    def new(self) -> float:
        """Mean over the row's tasks of the new run's means."""
        return float(np.mean([paired.new.mean() for paired in self.pairs.values()]))

    @cached_property
    def n(self) -> int:
        """Number of prompts."""
        return sum(len(paired.ids) for paired in self.pairs.values())

    @cached_property
    def tolerance(self) -> float:
        """Largest acceptable loss, in the metric's unit."""
        return self.requested.in_units(self.base)

    @cached_property
    def p(self) -> float:
        """Two-sided p-value against "no change": the largest one of the tests."""
        return max([self.flips_p, *(test.p() for test in self._others)])

    @cached_property
    def p_beyond(self) -> float:
        """Two-sided p-value against "the loss equals the tolerance"; 1 for a smaller loss."""
        if self.flips.mean >= -self.tolerance:
            return 1.0
        return max(test.p(-self.tolerance) for test in (self.flips, *self._others))

    @property
    def _others(self) -> "Sequence[SkewTest | TrainingTest]":
        """The tests that must agree with the sign flips."""
        return [test for test in (self.skew, self.trainings) if test is not None]

    def interval(self, method: RowTestMethod, alpha: float) -> tuple[float, float]:
        """The interval of the gain; an end can be infinite.

        Args:
            method: Kind of interval and number of resamples.
            alpha: 1 - coverage.
        """
        if not can_reject(self.n, alpha):
            return -inf, inf
        if method.interval == "flip":
            intervals = [test.interval(alpha) for test in (self.flips, *self._others)]
        else:
            gains = {
                task: gains_of(paired, self.sign)
                if paired.by_seed is None
                else self.sign * paired.by_seed
                for task, paired in self.pairs.items()
            }
            intervals = [average_interval(gains, alpha, method.resamples)]
            if self.trainings is not None:
                intervals.append(self.trainings.interval(alpha))
        lows, highs = zip(*intervals, strict=True)
        return min(lows), max(highs)

    def error(self) -> float | None:
        """The standard error of the mean gain; None if a task has a single prompt."""
        errors = [standard_error(gains_of(paired, self.sign)) for paired in self.pairs.values()]
        known = [error for error in errors if error is not None]
        return float(np.linalg.norm(known)) / len(errors) if len(known) == len(errors) else None

    def least(self, alpha: float) -> float | None:
        """The smallest change that the row's tests detect with 80 % power; None for one prompt.

        Args:
            alpha: Level of the tests.
        """
        error = self.error()
        if error is None:
            return None
        least = detectable_errors(alpha) * error
        of_trainings = None if self.trainings is None else self.trainings.least(alpha)
        return least if of_trainings is None else max(least, of_trainings)

    def needed(self, alpha: float) -> int | None:
        """The prompts that detect a change of the tolerance, never fewer than can reject at all.

        Args:
            alpha: Level of the tests.
        """
        least = self.least(alpha)
        if least is None:
            return None
        needed = prompts_needed(self.n, least, self.tolerance)
        if needed and self.trainings is not None:
            needed = self.trainings.needed(self.tolerance, alpha)
        return needed and max(needed, next(n for n in count(1) if can_reject(n, alpha)))

    def worst(self) -> tuple[WorstPrompt, ...]:
        """The prompts of a single task that lost most."""
        if self.task not in self.pairs:
            return ()
        paired = self.pairs[self.task]
        gains = gains_of(paired, self.sign)
        return tuple(
            WorstPrompt(paired.ids[row], float(paired.base[row]), float(paired.new[row]))
            for row in np.argsort(gains, kind="stable")[:_WORST]
            if gains[row] < 0
        )


def gains_of(paired: PairedScores, sign: int) -> np.ndarray:
    """The gain of each prompt, shape (n,); positive is better."""
    gains: np.ndarray = sign * (paired.new - paired.base)
    return gains


def row_tests(
    metric: str,
    kind: PromptScores,
    pairs: Mapping[str, PairedScores],
    tolerance: Tolerance,
    resamples: int,
) -> Iterator[RowTest]:
    """Test a metric on each task, and on the average if there are several tasks.

    Args:
        metric: Name of the metric.
        kind: Scores that give the metric's unit and direction.
        pairs: Paired scores of each task.
        tolerance: Largest acceptable loss.
        resamples: Number of random sign flips.

    Raises:
        InputError: Neither direction of the metric is better.
    """
    sign = gain_sign(metric, kind.direction)
    gains = {task: gains_of(paired, sign) for task, paired in pairs.items()}
    exact = exact_limit(map(len, gains.values()))
    flips = {task: sign_flips(gain, task, resamples, exact) for task, gain in gains.items()}
    for task, of_task in flips.items():
        closed_form = equal_sizes_p(gains[task])
        p = of_task.p() if closed_form is None else closed_form
        pair = {task: pairs[task]}
        skew = _skew_test(kind, pair, [gains[task]])
        trainings = training_test([pairs[task]], sign)
        yield RowTest(task, metric, kind, sign, pair, tolerance, of_task, p, skew, trainings)
    if len(pairs) > 1:
        joint = average_flips(gains, flips, resamples, exact)
        skew = _skew_test(kind, pairs, list(gains.values()))
        trainings = training_test(list(pairs.values()), sign)
        p = joint.p()
        yield RowTest(AVERAGE, metric, kind, sign, pairs, tolerance, joint, p, skew, trainings)


def _skew_test(
    kind: PromptScores, pairs: Mapping[str, PairedScores], gains: Sequence[np.ndarray]
) -> SkewTest | None:
    top = _TOP.get(kind.unit, inf)
    scores = np.concatenate([s for paired in pairs.values() for s in (paired.base, paired.new)])
    is_binary = len(pairs) == 1 and np.isin(scores, (0.0, top)).all()
    return None if is_binary else skew_test(gains, top)


def compared_rows(
    tests: Sequence[RowTest], method: RowTestMethod, rules: Rules
) -> Iterator[ComparedRow]:
    """The rows with their verdicts, which depend on the number of rows.

    Args:
        tests: Tests of all rows of the comparison.
        method: Kind of interval and number of resamples.
        rules: Level of the tests.
    """
    adjusted = holm([test.p for test in tests])
    adjusted_beyond = holm([test.p_beyond for test in tests])
    # The detectable change is that of the row's own test at Holm's strictest level.
    strictest = rules.alpha / max(1, len(tests))
    for test, p, p_beyond in zip(tests, adjusted, adjusted_beyond, strict=True):
        interval = test.interval(method, rules.alpha)
        low, high = (finite_or_none(test.sign * end) for end in interval[:: test.sign])
        spread = deviations(test.pairs, test.trainings)
        yield ComparedRow(
            task=test.task,
            metric=test.metric,
            unit=test.kind.unit,
            direction=test.kind.direction,
            n=test.n,
            base=test.base,
            new=test.new,
            change=test.sign * test.flips.mean,
            low=low,
            high=high,
            p=test.p,
            p_adjusted=p,
            tolerance=test.tolerance,
            least=test.least(strictest) if can_reject(test.n, strictest) else None,
            needed=test.needed(strictest),
            verdict=judge(
                gain=test.flips.mean,
                low=interval[0],
                p=p,
                p_beyond=p_beyond,
                tolerance=test.tolerance,
                alpha=rules.alpha,
            ),
            within=is_within(interval[0], test.tolerance),
            worst=test.worst(),
            category=test.category,
            sd_prompts=spread.prompts,
            sd_training=spread.training,
            sd_sampling=spread.sampling,
        )

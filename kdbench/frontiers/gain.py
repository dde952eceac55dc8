"""How far a student's curve lies above its baseline's, with an interval over prompts and trainings.

The gain G is a smooth function of means over prompts: of the entropies and qualities at each
temperature, of the student and of its baseline. Its error is that of the jackknife (Tukey 1958):
prompt p of task k, with n_k prompts, has the influence

    u_kp = (n_k - 1) * (G - G without prompt p of task k),

both curves without the same prompt, so that the comparison is paired. The influences stand for the
prompts' scores in the tests that means over prompts and training seeds have (`kdbench.stats.mean`
and `variances`). How often the intervals cover the truth is in docs/frontier.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.frontiers.curve import Curve, mean_gap
from kdbench.stats.mean import CONFIDENCE, Moments, mean_moments, moments
from kdbench.stats.variances import MeanTest, variances

CurveNumbers = Sequence[np.ndarray]
"""Entropies and qualities of one student: of each task, shape (2, temperatures, prompts)."""


@dataclass(frozen=True)
class Gain:
    """A gain with its error.

    Attributes:
        value: The gain, in the unit of the quality.
        low: Lower end of its 95 % interval; None if there is no interval.
        high: Upper end.
        p: Two-sided p-value of no gain; None without an interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def curve_of(training: CurveNumbers) -> Curve:
    """The curve of the plain means over tasks of each task's means over prompts."""
    x, y = _means(training)
    return Curve.of(x, y)


def find_gain(pairs: Sequence[tuple[CurveNumbers, CurveNumbers]]) -> Gain | None:
    """The mean gain over trainings, each a student's with its baseline's.

    Args:
        pairs: A student and its baseline on the same prompts, for each training.

    Returns:
        The gain; None if the two curves of a pair have no range in common.
    """
    found = [_with_influences(student, baseline) for student, baseline in pairs]
    values, scores = [], []
    for one in found:
        if one is None:
            return None
        value, of_tasks = one
        values.append(value)
        scores.append(of_tasks)
    value = float(np.mean(values))
    if any(of_tasks is None for of_tasks in scores):
        return Gain(value)
    return _tested(value, [of_tasks for of_tasks in scores if of_tasks is not None])


def find_mean(scores: Sequence[Sequence[np.ndarray]]) -> Gain:
    """The mean of scores, with its interval over prompts, and trainings if there are several.

    Args:
        scores: By training and task, shape (prompts,) each.
    """
    value = float(np.mean([np.mean([of_task.mean() for of_task in one]) for one in scores]))
    if any(len(of_task) < 2 for one in scores for of_task in one):
        return Gain(value)
    return _tested(value, scores)


def _tested(value: float, scores: Sequence[Sequence[np.ndarray]]) -> Gain:
    tested = _test(scores)
    interval = tested.interval if isinstance(tested, MeanTest) else tested.students
    low, high = interval(1 - CONFIDENCE)
    return Gain(value, low, high, tested.p_value())


def _test(scores: Sequence[Sequence[np.ndarray]]) -> Moments | MeanTest:
    """The test of the mean of scores, by training and task, shape (prompts,) each."""
    if len(scores) == 1:
        return mean_moments([moments(of_task) for of_task in scores[0]])
    return variances([np.stack(of_task)[:, None] for of_task in zip(*scores, strict=True)]).test


def _with_influences(
    student: CurveNumbers, baseline: CurveNumbers
) -> tuple[float, list[np.ndarray] | None] | None:
    """The gain of a training, and scores of the prompts of each task whose mean it is.

    There are no scores if a task has one prompt, or the curves part without some prompt.
    """
    own, other = _means(student), _means(baseline)
    value = mean_gap(Curve.of(*own), Curve.of(*other))
    if value is None:
        return None
    tasks, scores = len(student), []
    for of_student, of_baseline in zip(student, baseline, strict=True):
        n = of_student.shape[-1]
        if n < 2:
            return value, None
        steps = [
            (given.mean(axis=-1, keepdims=True) - given) / ((n - 1) * tasks)
            for given in (of_student, of_baseline)
        ]
        without = [
            mean_gap(Curve.of(*(own + steps[0][..., p])), Curve.of(*(other + steps[1][..., p])))
            for p in range(n)
        ]
        if None in without:
            return value, None
        influences = (n - 1) * (value - np.array(without, dtype=float))
        # A plain mean over tasks divides by their number, the gain does not.
        scores.append(value + tasks * (influences - influences.mean()))
    return value, scores


def _means(training: CurveNumbers) -> np.ndarray:
    """Mean entropies and qualities by temperature, shape (2, temperatures)."""
    means: np.ndarray = np.mean([of_task.mean(axis=-1) for of_task in training], axis=0)
    return means

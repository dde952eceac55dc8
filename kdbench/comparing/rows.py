"""Pairs become numbers, numbers of all rows together become verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.comparing.model import Method, Row, WorstPrompt
from kdbench.comparing.pairing import Pairs
from kdbench.comparing.sides import Scores
from kdbench.comparing.tolerance import Tolerance, sign_of
from kdbench.comparing.verdict import Evidence, Rules, judge
from kdbench.stats.paired import (
    Flips,
    average_flips,
    bootstrap_interval,
    equal_sizes_p,
    holm,
    reach,
    sign_flips,
    standard_error,
)
from kdbench.text import AVERAGE

_WORST = 5


@dataclass(frozen=True)
class Measured:
    """A row before it is judged beside the others.

    Attributes:
        task: its name, or `AVG`.
        metric: its name.
        unit: of the numbers.
        direction: which way is better.
        sign: makes a gain of a change.
        n: prompts.
        base: mean of the base.
        new: mean of the new run.
        gain: the mean difference, positive where better.
        interval: of the gain; an end can be infinite.
        p: two-sided, against no change.
        p_beyond: two-sided, against a loss of the tolerance; 1 where the loss is smaller.
        error: standard error of the gain; None for one prompt.
        tolerance: loss that is fine, in the metric's unit.
        worst: the prompts that lost most.
    """

    task: str
    metric: str
    unit: str
    direction: str
    sign: int
    n: int
    base: float
    new: float
    gain: float
    interval: tuple[float, float]
    p: float
    p_beyond: float
    error: float | None
    tolerance: float
    worst: tuple[WorstPrompt, ...] = ()


def measured_rows(
    metric: str,
    kind: Scores,
    pairs: Mapping[str, Pairs],
    tolerance: Tolerance,
    method: Method,
    alpha: float,
) -> Iterator[Measured]:
    """A metric's rows: each task, and the average of several.

    Raises:
        InputError: neither way of the metric is better.
    """
    sign = sign_of(metric, kind.direction)
    gains = {task: sign * (one.new - one.base) for task, one in pairs.items()}
    nested = {task: sign * one.nested for task, one in pairs.items() if one.nested is not None}
    flips = {task: sign_flips(gain, task, method.resamples) for task, gain in gains.items()}

    def row(task: str, tasks: Sequence[str], flipped: Flips, p: float) -> Measured:
        base, new = (float(np.mean([getattr(pairs[t], s).mean() for t in tasks])) for s in _SIDES)
        allowed = tolerance.within(base)
        return Measured(
            task=task,
            metric=metric,
            unit=kind.unit,
            direction=kind.direction,
            sign=sign,
            n=sum(len(gains[one]) for one in tasks),
            base=base,
            new=new,
            gain=flipped.mean,
            interval=_interval(
                {one: (nested or gains)[one] for one in tasks}, flipped, method, alpha
            ),
            p=p,
            p_beyond=flipped.p(-allowed) if flipped.mean < -allowed else 1.0,
            error=_error([gains[one] for one in tasks]),
            tolerance=allowed,
            worst=_worst(pairs[task], gains[task]) if task in pairs else (),
        )

    for task, flipped in flips.items():
        exact = equal_sizes_p(gains[task])
        yield row(task, [task], flipped, flipped.p() if exact is None else exact)
    if len(pairs) > 1:
        joint = average_flips(gains, flips, method.resamples)
        yield row(AVERAGE, list(pairs), joint, joint.p())


_SIDES = ("base", "new")


def _interval(
    parts: Mapping[str, np.ndarray], flips: Flips, method: Method, alpha: float
) -> tuple[float, float]:
    if method.interval == "flip":
        return flips.interval(alpha)
    return bootstrap_interval(parts, alpha, method.resamples)


def _error(gains: Sequence[np.ndarray]) -> float | None:
    """Standard error of the mean of several means."""
    errors = [error for gain in gains if (error := standard_error(gain)) is not None]
    return float(np.linalg.norm(errors)) / len(gains) if len(errors) == len(gains) else None


def _worst(pairs: Pairs, gains: np.ndarray) -> tuple[WorstPrompt, ...]:
    order = np.argsort(gains, kind="stable")[:_WORST]
    return tuple(
        WorstPrompt(pairs.ids[at], float(pairs.base[at]), float(pairs.new[at]))
        for at in order
        if gains[at] < 0
    )


def judged_rows(measured: Sequence[Measured], rules: Rules) -> Iterator[Row]:
    """The rows with their verdicts, which depend on how many rows there are."""
    adjusted = holm([one.p for one in measured])
    beyond = holm([one.p_beyond for one in measured])
    # What a row's own test can see, at the level at which Holm's begins.
    errors = reach(rules.alpha / max(1, len(measured)))
    for one, p, p_beyond in zip(measured, adjusted, beyond, strict=True):
        evidence = Evidence(one.gain, one.interval[0], p, p_beyond, one.tolerance)
        low, high = (_finite(one.sign * end) for end in one.interval[:: one.sign])
        least = None if one.error is None else errors * one.error
        yield Row(
            task=one.task,
            metric=one.metric,
            unit=one.unit,
            direction=one.direction,
            n=one.n,
            base=one.base,
            new=one.new,
            change=one.sign * one.gain,
            low=low,
            high=high,
            p=one.p,
            p_adjusted=p,
            tolerance=one.tolerance,
            least=least,
            needed=_needed(one, least),
            verdict=judge(evidence, rules.alpha),
            within=evidence.within,
            worst=one.worst,
        )


def _needed(one: Measured, least: float | None) -> int | None:
    if least is None or one.tolerance == 0:
        return None
    return int(np.ceil(one.n * (least / one.tolerance) ** 2))


def _finite(end: float) -> float | None:
    return end if np.isfinite(end) else None

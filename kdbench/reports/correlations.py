"""Whether more faithful students are better: rank correlations with bootstrap intervals.

The points of one run are not independent of each other, so the bootstrap resamples whole runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.reports.model import Axis, Correlation, Point
from kdbench.stats.defaults import RESAMPLES
from kdbench.stats.mean import CONFIDENCE
from kdbench.text import AVERAGE

if TYPE_CHECKING:
    import numpy as np

LEVELS = "score and fidelity"
GAIN_LEVEL = "gain and fidelity"
GAIN_CHANGE = "gain and change of fidelity"
_MIN_POINTS = 3  # for a rank correlation
_MIN_POINTS_FOR_INTERVAL = 4
_MIN_RUNS_FOR_INTERVAL = 6  # with fewer, too many resamples hold only one or two distinct runs
_MAX_UNDEFINED = 0.05  # share of resamples without a correlation


def correlations(
    points: Sequence[Point], score: Axis, fidelity: Axis, baseline: bool
) -> list[Correlation]:
    """The three correlations over all tasks, and the last of them for each task.

    The baseline is not a point: its gain and change are 0 by definition.

    Args:
        points: Points of students and tasks; averages are ignored.
        score: Metric of gains.
        fidelity: Metric of changes.
        baseline: Whether there is a baseline; without one, only the levels are correlated.
    """
    used = [point for point in points if point.task != AVERAGE and not point.student.baseline]
    levels = [
        (point, fidelity.sign * point.fidelity.value, score.sign * point.score.value)
        for point in used
    ]
    over_all = [_correlation(LEVELS, None, levels)]
    last, pairs = LEVELS, levels
    if baseline:
        gain_and_level = [
            (point, fidelity.sign * point.fidelity.value, point.gain.value)
            for point in used
            if point.gain
        ]
        over_all.append(_correlation(GAIN_LEVEL, None, gain_and_level))
        last = GAIN_CHANGE
        pairs = [
            (point, point.change.value, point.gain.value)
            for point in used
            if point.gain and point.change
        ]
        over_all.append(_correlation(GAIN_CHANGE, None, pairs))
    tasks = list(dict.fromkeys(point.task for point in used))
    if len(tasks) < 2:
        # On a single task a gain is the score minus a constant: all three would be one number.
        return over_all
    return over_all + [
        _correlation(last, task, [pair for pair in pairs if pair[0].task == task]) for task in tasks
    ]


def correlation_line(correlation: Correlation) -> str:
    """A correlation as a line of text."""
    title = f"{correlation.of}, {correlation.task or 'all tasks'}"
    size = f"{_count(correlation.n, 'point')}, {_count(correlation.runs, 'run')}"
    if correlation.rho is None:
        return f"{title}: no correlation ({size}; {correlation.reason})"
    line = f"{title}: rho = {_decimals(correlation.rho)}"
    if correlation.low is not None and correlation.high is not None:
        return f"{line} [{_decimals(correlation.low)}, {_decimals(correlation.high)}] ({size})"
    return f"{line} ({size}; {correlation.reason})"


def _decimals(number: float) -> str:
    """Two decimals; zero is never negative."""
    return f"{round(number, 2) + 0.0:.2f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _correlation(
    of: str, task: str | None, pairs: Sequence[tuple[Point, float, float]]
) -> Correlation:
    """The correlation of two quantities, given for each point."""
    import numpy as np

    runs = [point.student.run for point, _, _ in pairs]
    n, distinct = len(pairs), len(set(runs))
    first, second = np.array([pair[1] for pair in pairs]), np.array([pair[2] for pair in pairs])
    if n < _MIN_POINTS:
        reason = f"fewer than {_MIN_POINTS} points"
        return Correlation(of, task, None, None, None, n, distinct, reason)
    if not np.ptp(first) or not np.ptp(second):
        return Correlation(of, task, None, None, None, n, distinct, "all values are equal")
    from scipy.stats import spearmanr

    rho = float(spearmanr(first, second).statistic)
    interval = _interval(runs, first, second)
    if isinstance(interval, str):
        reason = f"no interval: {interval}"
        return Correlation(of, task, rho, None, None, n, distinct, reason)
    return Correlation(of, task, rho, *interval, n, distinct)


def _interval(
    runs: Sequence[str], first: "np.ndarray", second: "np.ndarray"
) -> tuple[float, float] | str:
    """The ends of the percentile interval of a correlation, or why it has none."""
    import numpy as np

    if len(runs) < _MIN_POINTS_FOR_INTERVAL:
        return f"fewer than {_MIN_POINTS_FOR_INTERVAL} points"
    if len(set(runs)) < _MIN_RUNS_FOR_INTERVAL:
        return f"fewer than {_MIN_RUNS_FOR_INTERVAL} runs"
    resampled = _resampled(runs, first, second)
    defined = resampled[np.isfinite(resampled)]
    if len(defined) < (1 - _MAX_UNDEFINED) * len(resampled):
        return "not defined for many resamples"
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(runs: Sequence[str], first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
    """The correlation of each resample of whole runs; NaN where all its values are equal.

    Args:
        runs: Run of each point.
        first: One quantity, shape (n,).
        second: The other quantity, shape (n,).

    Returns:
        Correlations, shape (RESAMPLES,).
    """
    import numpy as np

    distinct = list(dict.fromkeys(runs))
    run_of_point = np.array([distinct.index(run) for run in runs])
    rng = np.random.default_rng(0)
    chances = np.full(len(distinct), 1 / len(distinct))
    drawn = rng.multinomial(len(distinct), chances, RESAMPLES)
    counts = drawn[:, run_of_point].astype(float)  # how often each point is drawn
    total = counts.sum(axis=1, keepdims=True)
    centred = []
    for values in (first, second):
        ranks = _ranks(values, counts)
        centred.append(ranks - (counts * ranks).sum(axis=1, keepdims=True) / total)
    x, y = centred
    covariance = (counts * x * y).sum(axis=1)
    spread = (counts * x**2).sum(axis=1) * (counts * y**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: np.ndarray = covariance / np.sqrt(np.where(spread > 1e-9, spread, np.nan))
    return rho


def _ranks(values: "np.ndarray", counts: "np.ndarray") -> "np.ndarray":
    """Mid-ranks of values that are drawn several times.

    Args:
        values: Values, shape (n,).
        counts: How often each value is drawn in each resample, shape (RESAMPLES, n).

    Returns:
        Ranks, shape (RESAMPLES, n).
    """
    smaller = (values[None, :] < values[:, None]).astype(float)
    equal = (values[None, :] == values[:, None]).astype(float)
    ranks: np.ndarray = counts @ smaller.T + (counts @ equal.T + 1) / 2
    return ranks

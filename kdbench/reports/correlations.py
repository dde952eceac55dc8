"""Whether more faithful students are better ones: rank correlations with honest intervals.

Points of one run are not independent of each other, so the bootstrap draws whole runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.reports.model import Axis, Correlation, Point
from kdbench.stats.bootstrap import CONFIDENCE, RESAMPLES
from kdbench.text import AVERAGE

if TYPE_CHECKING:
    import numpy as np

LEVELS = "score and fidelity"
GAIN_LEVEL = "gain and fidelity"
GAIN_CHANGE = "gain and change of fidelity"
_FEWEST = 3  # points of which a rank correlation says anything
_FEWEST_FOR_INTERVAL = 4
_FEWEST_RUNS = 6  # of fewer, too many whole-run resamples hold one or two runs
_MOST_UNDEFINED = 0.05


def correlations(
    points: Sequence[Point], score: Axis, fidelity: Axis, baseline: bool
) -> list[Correlation]:
    """All three over all tasks, the last over each.

    The baseline itself is no point: gain and change are 0 there by definition.

    Args:
        points: of students and tasks; averages are passed over.
        score: metric of gains.
        fidelity: metric of changes.
        baseline: whether there is one.
    """
    own = [p for p in points if p.task != AVERAGE and not p.student.baseline]
    levels = [(p, fidelity.sign * p.fidelity.value, score.sign * p.score.value) for p in own]
    found = [_correlation(LEVELS, None, levels)]
    last, pairs = LEVELS, levels
    if baseline:
        gains = [(p, p.gain, p.change) for p in own]
        over_level = [(p, fidelity.sign * p.fidelity.value, g.value) for p, g, _ in gains if g]
        found.append(_correlation(GAIN_LEVEL, None, over_level))
        last, pairs = GAIN_CHANGE, [(p, c.value, g.value) for p, g, c in gains if g and c]
        found.append(_correlation(GAIN_CHANGE, None, pairs))
    tasks = list(dict.fromkeys(p.task for p in own))
    if len(tasks) > 1:
        # On one task a gain is the score less a constant: all three would be one number.
        found += [_correlation(last, t, [one for one in pairs if one[0].task == t]) for t in tasks]
    return found


def _correlation(
    of: str, task: str | None, pairs: Sequence[tuple[Point, float, float]]
) -> Correlation:
    """Of points with one quantity and the other."""
    import numpy as np

    names = [point.student.run for point, _, _ in pairs]
    n, runs = len(pairs), len(set(names))
    one, other = np.array([pair[1] for pair in pairs]), np.array([pair[2] for pair in pairs])
    if n < _FEWEST:
        return Correlation(of, task, None, None, None, n, runs, f"fewer than {_FEWEST} points")
    if not np.ptp(one) or not np.ptp(other):
        return Correlation(of, task, None, None, None, n, runs, "all values are equal")
    from scipy.stats import spearmanr

    rho = float(spearmanr(one, other).statistic)
    if n < _FEWEST_FOR_INTERVAL:
        reason = f"no interval: fewer than {_FEWEST_FOR_INTERVAL} points"
        return Correlation(of, task, rho, None, None, n, runs, reason)
    if runs < _FEWEST_RUNS:
        reason = f"no interval: fewer than {_FEWEST_RUNS} runs"
        return Correlation(of, task, rho, None, None, n, runs, reason)
    values = _resampled(names, one, other)
    defined = values[np.isfinite(values)]
    if len(defined) < (1 - _MOST_UNDEFINED) * len(values):
        reason = "no interval: not defined for many resamples"
        return Correlation(of, task, rho, None, None, n, runs, reason)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Correlation(of, task, rho, float(low), float(high), n, runs)


def _resampled(names: Sequence[str], one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
    """The correlation of each resample of whole runs; NaN where all its values are equal."""
    import numpy as np

    known = list(dict.fromkeys(names))
    of_run = np.array([known.index(name) for name in names])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), RESAMPLES)
    times = drawn[:, of_run].astype(float)  # how often each point is drawn
    ranks = [_ranks(values, times) for values in (one, other)]
    total = times.sum(axis=1, keepdims=True)
    first, second = (r - (times * r).sum(axis=1, keepdims=True) / total for r in ranks)
    both = (times * first * second).sum(axis=1)
    spread = (times * first**2).sum(axis=1) * (times * second**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: np.ndarray = both / np.sqrt(np.where(spread > 1e-9, spread, np.nan))
    return rho


def _ranks(values: "np.ndarray", times: "np.ndarray") -> "np.ndarray":
    """Middle ranks of values that are drawn several times, (n,) and (R, n) to (R, n)."""
    below = (values[None, :] < values[:, None]).astype(float)
    equal = (values[None, :] == values[:, None]).astype(float)
    ranks: np.ndarray = times @ below.T + (times @ equal.T + 1) / 2
    return ranks

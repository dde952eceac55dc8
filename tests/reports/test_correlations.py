"""Why a correlation needs a number of runs: how often its interval covers the true one."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from kdbench.reports import correlations
from kdbench.reports.correlations import LEAST_RUNS


def draw(rng: np.random.Generator, runs: int, tasks: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two quantities of each run and task, whose runs correlate by 0.95."""
    first, other = rng.standard_normal((2, runs, 1))
    second = 0.95 * first + np.sqrt(1 - 0.95**2) * other
    noise = 0.5 * rng.standard_normal((2, runs, tasks))
    return (first + noise[0]).ravel(), (second + noise[1]).ravel()


@pytest.mark.parametrize(("runs", "is_enough"), [(LEAST_RUNS, True), (6, False)])
def test_an_interval_covers_often_enough_from_the_least_number_of_runs(
    runs: int, is_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlations, "RESAMPLES", 500)
    rng, trials = np.random.default_rng(0), 200
    truth = spearmanr(*draw(rng, 20_000)).statistic
    names = [str(run) for run in range(runs) for _ in range(5)]
    covered = 0
    for _ in range(trials):
        interval = correlations._interval(names, *draw(rng, runs))
        assert not isinstance(interval, str)
        covered += interval[0] <= truth <= interval[1]
    assert (covered / trials >= 0.88) == is_enough

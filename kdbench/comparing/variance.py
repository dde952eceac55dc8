"""The variance of a prompt's difference between two checkpoints, from what one or two runs show.

The difference between two checkpoints on one prompt has the variance

    between + within / seeds

where `within` comes from sampling, and `between` from prompts on which the new checkpoint is truly
better or worse. Two runs show both. One run shows only its own sampling variance; the plan then
assumes a second checkpoint that is equally good on every prompt and draws independently, so that
`within` is twice the run's variance and `between` is 0. A run without single seeds shows not even
that; the plan of a baseline then assumes a second checkpoint whose scores have the run's variance
over prompts and are unrelated to the run's, so that `between` is twice that variance. Checkpoints
of one model are related, so this is an upper bound in practice.
"""

from dataclasses import dataclass

import numpy as np

from kdbench.comparing.pairing import pair_scores
from kdbench.comparing.scores import ComparedRun
from kdbench.errors import InputError


@dataclass(frozen=True)
class DifferenceVariance:
    """The variance of a prompt's difference on one task.

    Attributes:
        n: Number of prompts of the stored run.
        between: Variance that more seeds do not reduce.
        within: Variance of a single seed.
        base_mean: Mean score of the base, for relative tolerances.
    """

    n: int
    between: float
    within: float
    base_mean: float

    def with_seeds(self, seeds: int) -> float:
        """The variance of the difference between means over a number of seeds."""
        return self.between + self.within / seeds


def shown_variance(
    run: ComparedRun, second: ComparedRun | None, task: str, metric: str
) -> DifferenceVariance:
    """The variance that the samples show.

    Raises:
        InputError: The samples have no scores of the metric, or of fewer than two seeds.
    """
    if metric not in run.tasks[task].metrics:
        raise InputError(
            f"tolerance={metric}:…: {run.label} has no score per prompt of this metric for '{task}'"
        )
    scores = _required_scores(run, task, metric)
    base_mean = float(np.mean(scores))
    if second is None:
        return DifferenceVariance(len(scores), 0.0, 2 * _variance_of_a_seed(scores), base_mean)
    paired = pair_scores(run, second, task, metric)
    rows = [run.tasks[task].ids.index(document) for document in paired.ids]
    second_rows = [second.tasks[task].ids.index(document) for document in paired.ids]
    second_scores = _required_scores(second, task, metric)
    differences: np.ndarray = second_scores[second_rows] - scores[rows]
    n, seeds = differences.shape
    within = _variance_of_a_seed(differences)
    between = max(0.0, float(differences.mean(axis=1).var(ddof=1)) - within / seeds)
    return DifferenceVariance(n, between, within, base_mean)


def _variance_of_a_seed(scores: np.ndarray) -> float:
    """The mean over prompts of the variance over seeds, of scores of shape (prompts, seeds)."""
    return float(scores.var(axis=1, ddof=1).mean())


def unrelated_variance(run: ComparedRun, task: str, metric: str) -> DifferenceVariance:
    """The variance of the difference to a checkpoint with unrelated scores.

    Raises:
        InputError: Fewer than two prompts have a score.
    """
    means = run.tasks[task].metrics[metric].means
    means = means[~np.isnan(means)]
    if len(means) < 2:
        raise InputError(f"{run.label}: a plan needs at least two prompts of '{task}'")
    return DifferenceVariance(len(means), 2 * float(means.var(ddof=1)), 0.0, float(means.mean()))


def scores_by_seed(run: ComparedRun, task: str, metric: str) -> np.ndarray | None:
    """Scores of shape (prompts, seeds); None unless the samples show at least two of each.

    Args:
        run: Run with samples.
        task: Name of the task.
        metric: Name of the metric.

    Raises:
        InputError: The samples are malformed.
    """
    scores = run.scores_by_seed(task, metric)
    if scores is None or scores.shape[1] < 2 or len(scores) < 2 or np.isnan(scores).any():
        return None
    return scores


def _required_scores(run: ComparedRun, task: str, metric: str) -> np.ndarray:
    scores = scores_by_seed(run, task, metric)
    if scores is None:
        raise InputError(
            f"{run.label}: a plan needs samples with {metric} of '{task}' for at least two seeds, "
            "to separate sampling variance from differences between prompts (samples/ is not "
            "committed)"
        )
    return scores

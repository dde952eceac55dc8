"""How much of a ranking of methods is noise: scores of M methods with T training seeds each.

A score y[m, t] is that of method m with training seed t. Methods and seeds are crossed, since seed
t gives every method the same batches. The two-way analysis of variance with random effects (Scheffé
1959, chapter 7) splits the variance of a single score into

    methods   (MS_methods - MS_rest) / T
    seeds     (MS_seeds - MS_rest) / M, alike for all methods, which moves no ranking
    rest      MS_rest, of a method with a seed, which does

The share of the ranking that is signal is methods / (methods + rest), the intraclass correlation
of McGraw and Wong (1996), ICC(C,1), with their exact F interval. With scores by prompt, the rest
splits further: what is due to the P prompts, MS of methods × seeds × prompts over P, is the chance
in the responses, and what is left is that of the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from kdbench.stats.defaults import POWER
from kdbench.stats.mean import CONFIDENCE, Moments

_ALPHA = 1 - CONFIDENCE
MOST_SEEDS = 10_000
"""More training seeds than these are not looked for."""


@dataclass(frozen=True)
class RankingNoise:
    """The standard deviations of a single score, by where they come from.

    Attributes:
        methods: Between methods.
        seeds: Between training seeds, alike for all methods.
        training: Of a method with a training seed; all of `rest` where `chance` is unknown.
        chance: Of the responses to these prompts; None without scores by prompt.
        prompts: Of a method with another set of as many prompts; None likewise. It is no part of
            the variance between seeds, which answer the same prompts.
        rest: Of a method with a training seed, with the chance in the responses.
        rest_interval: Its 95 % interval.
        share: The share of methods in the variance of methods and rest; below 0 counts as 0.
        share_interval: Its 95 % interval.
        p: P-value of the F test that methods do not differ.
        freedom: Degrees of freedom of the rest.
    """

    methods: float
    seeds: float
    training: float
    chance: float | None
    prompts: float | None
    rest: float
    rest_interval: tuple[float, float]
    share: float
    share_interval: tuple[float, float]
    p: float
    freedom: int


def ranking_noise(scores: np.ndarray, tasks: Sequence[np.ndarray] = ()) -> RankingNoise:
    """Split the variance of scores.

    Args:
        scores: Shape (methods, training seeds), at least two of each.
        tasks: Scores by prompt of each task, shape (methods, training seeds, prompts), whose plain
            mean over tasks the scores are; empty if they are unknown.

    Raises:
        ValueError: There are fewer than two methods or training seeds.
    """
    from scipy.stats import chi2, f

    methods, seeds = scores.shape
    if min(methods, seeds) < 2:
        raise ValueError("a ranking has two methods and two training seeds, or more")
    of_methods, of_seeds, rest = _mean_squares(scores)
    freedom = (methods - 1) * (seeds - 1)
    # Equal scores show no difference of methods.
    ratio = of_methods / rest if rest else np.inf if of_methods else 0.0
    chance = _chance(tasks) if tasks else None
    prompts = _prompts(tasks) if tasks else None
    reach = [
        f.ppf(1 - _ALPHA / 2, *degrees)
        for degrees in ((methods - 1, freedom), (freedom, methods - 1))
    ]
    share = [_share(value, seeds) for value in (ratio / reach[0], ratio, ratio * reach[1])]
    ends = [sqrt(freedom * rest / chi2.ppf(q, freedom)) for q in (1 - _ALPHA / 2, _ALPHA / 2)]
    return RankingNoise(
        methods=sqrt(max(0.0, of_methods - rest) / seeds),
        seeds=sqrt(max(0.0, of_seeds - rest) / methods),
        training=sqrt(max(0.0, rest - (chance or 0.0))),
        chance=None if chance is None else sqrt(chance),
        prompts=None if prompts is None else sqrt(prompts),
        rest=sqrt(rest),
        rest_interval=(ends[0], ends[1]),
        share=share[1],
        share_interval=(share[0], share[2]),
        p=float(f.sf(ratio, methods - 1, freedom)),
        freedom=freedom,
    )


def flip_probability(gap: float, rest: float, seeds: int, freedom: int) -> float:
    """The probability that one more training seed ranks two methods the other way.

    The difference of a further seed lies around the mean difference with the standard error
    √2 rest √(1 + 1/T), and has Student's distribution.

    Args:
        gap: Mean difference of the two methods.
        rest: `RankingNoise.rest`.
        seeds: T, number of training seeds of the mean.
        freedom: Degrees of freedom of the rest.
    """
    from scipy.special import stdtr

    spread = sqrt(2 * (1 + 1 / seeds)) * rest
    if spread == 0:
        return 0.0 if gap else 0.5
    return float(stdtr(freedom, -abs(gap) / spread))


def flips_seen(first: np.ndarray, second: np.ndarray) -> int:
    """How many training seeds rank two methods otherwise than the mean of the other seeds.

    Args:
        first: Scores of a method by training seed, (T,), T > 1.
        second: Scores of another one.
    """
    differences = first - second
    others = (differences.sum() - differences) / (len(differences) - 1)
    return int((differences * others < 0).sum())


def agreement(scores: np.ndarray) -> np.ndarray:
    """Kendall's τ-b of each seed's ranking and that of the mean of the other seeds, (T,).

    The other seeds alone, since a mean that holds the seed agrees with it by construction. A seed
    that gives all methods one score ranks none, and agrees with nothing: 0.

    Args:
        scores: Shape (methods, training seeds), at least two of each.
    """
    from scipy.stats import kendalltau

    others = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
    pairs = zip(scores.T, others.T, strict=True)
    found = np.array([kendalltau(own, rest).statistic for own, rest in pairs])
    return np.where(np.isnan(found), 0.0, found)


def seeds_to_separate(gap: float, rest: float, power: float = POWER) -> int | None:
    """The number of training seeds with which a paired t test at 5 % finds a difference.

    Args:
        gap: The true difference of two methods.
        rest: `RankingNoise.rest`; the difference of a seed has the deviation √2 rest.
        power: Probability of finding it.

    Returns:
        The number; None if it is above `MOST_SEEDS`.
    """
    gap = abs(gap)
    if detectable_gap(rest, MOST_SEEDS, power) > gap or gap == 0:
        return None
    low, high = 1, MOST_SEEDS  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        if detectable_gap(rest, middle, power) > gap:
            low = middle
        else:
            high = middle
    return high


def detectable_gap(rest: float, seeds: int, power: float = POWER) -> float:
    """The smallest difference that a paired t test at 5 % over training seeds finds.

    Args:
        rest: As for `seeds_to_separate`.
        seeds: Number of training seeds, at least two.
        power: Probability of finding it.
    """
    error = sqrt(2 / seeds) * rest
    return Moments(0.0, error, 0.0, seeds - 1).detectable(_ALPHA, power)


def _mean_squares(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of methods, of seeds, and of what is left."""
    methods, seeds = scores.shape
    by_method = scores.mean(axis=1) - scores.mean()
    by_seed = scores.mean(axis=0) - scores.mean()
    rest = scores - scores.mean() - by_method[:, None] - by_seed
    return (
        seeds * float((by_method**2).sum()) / (methods - 1),
        methods * float((by_seed**2).sum()) / (seeds - 1),
        float((rest**2).sum()) / ((methods - 1) * (seeds - 1)),
    )


def _share(ratio: float, seeds: int) -> float:
    """(F - 1) / (F + T - 1), not below 0."""
    return 1.0 if np.isinf(ratio) else max(0.0, float((ratio - 1) / (ratio + seeds - 1)))


def _chance(tasks: Sequence[np.ndarray]) -> float:
    """The variance of a score by methods × seeds × prompts, over all tasks."""
    parts = [_three_way(scores) / int(scores.shape[2]) for scores in tasks]
    return sum(parts) / len(tasks) ** 2


def _prompts(tasks: Sequence[np.ndarray]) -> float:
    """The variance of a method's mean by methods × prompts, over all tasks."""
    parts = []
    for scores in tasks:
        seeds, prompts = int(scores.shape[1]), int(scores.shape[2])
        between = seeds * _mean_squares(scores.mean(axis=1))[2] - _three_way(scores)
        parts.append(max(0.0, between) / (seeds * prompts))
    return sum(parts) / len(tasks) ** 2


def _three_way(scores: np.ndarray) -> float:
    """The mean square of methods × seeds × prompts."""
    rest = scores
    for axis in range(3):
        rest = rest - rest.mean(axis=axis, keepdims=True)
    return float((rest**2).sum()) / float(np.prod([size - 1 for size in scores.shape]))

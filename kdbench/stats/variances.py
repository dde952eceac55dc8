"""The mean of a recipe over training seeds, sampling seeds and prompts, and what it varies with.

A score y[t, s, p] is that of training seed t, sampling seed s and prompt p. Training seeds and
prompts are crossed: every student answers the same prompts. Sampling seeds are averaged within each
student and prompt, because they are not independent students.

Of the T × N means over sampling seeds, the two-way analysis of variance with random effects
(Scheffé 1959, "The Analysis of Variance", chapter 7) gives mean squares of training seeds, of
prompts and of what is left. The mean over all has the variance

    (MS_training + MS_prompts − MS_rest) / (T N),

whose degrees of freedom are those of Satterthwaite (1946). How often the interval covers the truth
with few training seeds is in `benchmarks/RESULTS.md`.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from kdbench.stats.mean import Moments


@dataclass(frozen=True)
class Variances:
    """What a score varies with, each as the standard deviation of one draw.

    Attributes:
        prompts: Standard deviation between prompts.
        training: Standard deviation between students of different training seeds, of their mean
            over all prompts.
        sampling: Standard deviation between one student's responses to one prompt; None for one
            sampling seed.
        moments: Moments of the mean over all, from which its interval follows.
    """

    prompts: float
    training: float
    sampling: float | None
    moments: Moments


def variances(scores: np.ndarray) -> Variances:
    """Estimate the variances of a recipe's scores.

    Args:
        scores: Scores of shape (training seeds, sampling seeds, prompts), at least two training
            seeds and two prompts.
    """
    trained, sampled, prompts = scores.shape
    means = scores.mean(axis=1)
    whole = float(means.mean())
    by_student, by_prompt = means.mean(axis=1), means.mean(axis=0)
    rest = means - by_student[:, None] - by_prompt + whole
    ms_training = prompts * float(((by_student - whole) ** 2).sum()) / (trained - 1)
    ms_prompts = trained * float(((by_prompt - whole) ** 2).sum()) / (prompts - 1)
    ms_rest = float((rest**2).sum()) / ((trained - 1) * (prompts - 1))
    return Variances(
        prompts=sqrt(max(0.0, ms_prompts - ms_rest) / trained),
        training=sqrt(max(0.0, ms_training - ms_rest) / prompts),
        sampling=float(np.sqrt(scores.var(axis=1, ddof=1).mean())) if sampled > 1 else None,
        moments=_moments(by_prompt, (ms_training, ms_prompts, ms_rest), trained),
    )


def _moments(
    by_prompt: np.ndarray, mean_squares: tuple[float, float, float], trained: int
) -> Moments:
    """The moments of the mean, whose error is at least that of the prompts alone.

    Only prompts give enough numbers for a skewness.
    """
    training, prompts, rest = mean_squares
    n, whole = len(by_prompt), float(by_prompt.mean())
    training = max(training, rest)  # a negative variance of training seeds is none
    total = training + prompts - rest
    if total <= 0:
        return Moments(whole, 0.0, 0.0, trained - 1)
    parts = (training**2 / (trained - 1), prompts**2 / (n - 1), rest**2 / ((trained - 1) * (n - 1)))
    error = sqrt(total / (trained * n))
    third = float(((by_prompt - whole) ** 3).mean()) / n**2
    return Moments(whole, error, third / error**3, max(1.0, total**2 / sum(parts)))

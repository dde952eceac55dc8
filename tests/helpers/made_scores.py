"""Scores and sums for the tests of statistics."""

import math

import numpy as np


def skewed(n, seed=0):
    """Scores with the shape of ROUGE-L: many low, some high."""
    return np.random.default_rng(seed).gamma(2.0, 10.0, n)


def ratio(sums):
    """The first sum over the second."""
    return sums[..., 0] / np.where(sums[..., 1] == 0, np.nan, sums[..., 1])


def summed(values, counts=None):
    """What each prompt adds to a mean: its sum and its count."""
    counts = np.ones(len(values)) if counts is None else counts
    return np.stack([np.asarray(values) * counts, counts], axis=1)


def has_the_spread_of_a_mean(interval, values):
    """Whether a 95 % interval is about 1.96 standard errors wide on each side of the mean."""
    low, high = interval
    half = 1.96 * values.std() / math.sqrt(len(values))
    return (
        abs((high - low) / 2 - half) < 0.04 * half
        and abs((high + low) / 2 - values.mean()) < 0.05 * half
    )

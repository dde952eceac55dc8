"""How far two tables order the same methods alike, given the noise of their training seeds.

Each table has scores of M methods with T training seeds of its own. The noise of a mean is the mean
square of methods x seeds (`kdbench.stats.ranking`) over T. Kendall's τ of two orders of means is a
statistic of noisy means: noise pulls it to 0, and a bootstrap over seeds adds the noise a second
time. In simulations with 13 methods, 3 training seeds, a reliability of 0.9 and one true order, the
bootstrap's percentile interval covered τ = 1 in none of 400 cases; the interval here in 98 %
(`benchmarks/orders.py`).

The interval is that of τ between the orders of the true means, which infinitely many training seeds
would show. It is a fiducial, or generalised confidence, interval (Weerahandi 1993; certainty M:
from memory): the 2x2 covariance of the observed means is drawn from the inverse Wishart with M - 1
degrees of freedom, the noise from the inverse χ² with (M - 1)(T - 1); their difference, where it is
positive, is the covariance of the true means, and given both, the true means are normal around the
observed ones shrunken to the mean, as in a model with random methods. Each draw has a τ; the
interval holds the central 95 %. Where these are one τ, as where two noisy tables happen to have one
order, its lower end is that of true means which are drawn in each table alone, by its own noise.
That is ours.

The τ that noise leaves takes the same draws: the true means of both tables in one order, each with
the noise of its table, have a τ below 1. An observed τ that is low among these shows that the true
orders differ. That combination is ours.
"""

from dataclasses import dataclass

import numpy as np

from kdbench.stats.mean import CONFIDENCE

_DRAWS = 2000
_PAIRS_AT_ONCE = 4_000_000
_ROUNDING = 1e-9
FEWEST = 4
"""Methods with which orders are compared: of three, every third order agrees by chance."""


@dataclass(frozen=True)
class OrderAgreement:
    """How far two tables order the same methods alike.

    Attributes:
        tau: Kendall's τ-a of the two orders of means; ties count as neither.
        low: Lower end of the 95 % interval of τ between the orders of true means.
        high: Upper end.
        ceiling: The τ that two tables of one true order have on average, with this noise.
        ceiling_low: Lower end of the range that holds 95 % of them.
        ceiling_high: Upper end.
        p_same: The share of such tables that agree as little as these, or less: the p-value of the
            hypothesis that the true orders are one.
        p_unrelated: Two-sided p-value of Kendall's test that the orders have nothing to do with
            each other.
        reliability: Of each table, the share of the variance of its means that is between methods.
        methods: M.
    """

    tau: float
    low: float
    high: float
    ceiling: float
    ceiling_low: float
    ceiling_high: float
    p_same: float
    p_unrelated: float
    reliability: tuple[float, float]
    methods: int


def order_agreement(
    first: np.ndarray, second: np.ndarray, draws: int = _DRAWS, seed: int = 0
) -> OrderAgreement:
    """Compare the orders of two tables.

    Args:
        first: Scores of one table, (methods, its training seeds), at least two seeds.
        second: Scores of the other, (the same methods, its training seeds); in both tables either
            higher or lower is better.
        draws: Number of draws.
        seed: Of the draws.

    Raises:
        ValueError: There are fewer than four methods or two training seeds, or a table's means are
            all equal.
    """
    from scipy.stats import kendalltau

    if len(first) != len(second) or len(first) < FEWEST or min(first.shape[1], second.shape[1]) < 2:
        raise ValueError("orders have four methods and two training seeds each, or more")
    rng = np.random.default_rng(seed)
    tables = (_Table(first), _Table(second))
    if any(not table.means.any() for table in tables):
        raise ValueError("a table whose methods have one mean orders nothing")
    true, noise = _true_means(tables, draws, rng)
    order = taus(true[..., 0], true[..., 1])
    again = np.sort(true, axis=1) + noise[:, None, :] * rng.standard_normal(true.shape)
    ceiling = taus(again[..., 0], again[..., 1])
    tau = float(taus(tables[0].means[None], tables[1].means[None])[0])
    alpha = 1 - CONFIDENCE
    low, high = np.quantile(order, [alpha / 2, 1 - alpha / 2])
    if high - low < _ROUNDING:
        apart = taus(*(_true_means_alone(table, draws, rng) for table in tables))
        low = min(low, np.quantile(apart, alpha / 2))
    ceiling_low, ceiling_high = np.quantile(ceiling, [alpha / 2, 1 - alpha / 2])
    return OrderAgreement(
        tau=tau,
        low=float(low),
        high=float(high),
        ceiling=float(ceiling.mean()),
        ceiling_low=float(ceiling_low),
        ceiling_high=float(ceiling_high),
        p_same=float((1 + (ceiling <= tau + _ROUNDING).sum()) / (1 + draws)),
        p_unrelated=float(kendalltau(tables[0].means, tables[1].means).pvalue),
        reliability=(tables[0].reliability, tables[1].reliability),
        methods=len(first),
    )


class _Table:
    """The centred means of a table, and the noise in them.

    Attributes:
        means: (methods,), their mean is 0.
        noise: Variance of a mean by its seeds, without what seeds do to all methods alike.
        freedom: Degrees of freedom of the noise.
        reliability: 1 - noise / variance of means, not below 0.
    """

    def __init__(self, scores: np.ndarray):
        methods, seeds = scores.shape
        rows = scores.mean(axis=1, keepdims=True)
        rest = scores - rows - scores.mean(axis=0) + scores.mean()
        self.means = rows[:, 0] - scores.mean()
        self.means[np.abs(self.means) < 1e-12 * max(1.0, np.abs(scores).max())] = 0.0
        self.freedom = (methods - 1) * (seeds - 1)
        self.noise = float((rest**2).sum()) / self.freedom / seeds
        between = float((self.means**2).sum()) / (methods - 1)
        self.reliability = max(0.0, 1 - self.noise / between) if between else 0.0


def _true_means(
    tables: tuple[_Table, _Table], draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the true means, (draws, methods, 2), and of the noise's deviations, (draws, 2)."""
    means = np.stack([table.means for table in tables], axis=1)
    scale = np.sqrt((means**2).sum(axis=0))
    # A table without noise keeps its means; the tiny noise keeps the algebra finite.
    least = 1e-12 * scale**2
    noise = np.stack(
        [
            np.sqrt(
                np.maximum(table.noise * table.freedom / rng.chisquare(table.freedom, draws), b)
            )
            for table, b in zip(tables, least, strict=True)
        ],
        axis=1,
    )
    whitened = _covariances(means, draws, rng) / noise[:, :, None] / noise[:, None, :]
    values, axes = np.linalg.eigh(whitened)
    # In these axes the noise has variance 1, so that what exceeds 1 is of the true means.
    kept = 1 - 1 / np.maximum(values, 1 + 1e-9)
    seen = (means[None] / noise[:, None, :]) @ axes
    drawn = seen * kept[:, None, :] + np.sqrt(kept)[:, None, :] * rng.standard_normal(seen.shape)
    return drawn @ np.swapaxes(axes, 1, 2) * noise[:, None, :], noise


def _true_means_alone(table: _Table, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of the true means of one table, (draws, methods), without a look at the other."""
    noise = table.noise * table.freedom / rng.chisquare(table.freedom, draws)
    observed = (table.means**2).sum() / rng.chisquare(len(table.means) - 1, draws)
    kept = np.clip(1 - noise / observed, 0, 1)[:, None]
    spread = np.sqrt(kept * noise[:, None])
    shape = draws, len(table.means)
    drawn: np.ndarray = kept * table.means + spread * rng.standard_normal(shape)
    return drawn


def _covariances(means: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of the covariance of observed means, inverse Wishart by Bartlett, (draws, 2, 2)."""
    squares = means.T @ means
    # Two equal orders of equal spacing have no second axis.
    root = np.linalg.cholesky(squares + 1e-10 * np.diag(np.diag(squares)))
    freedom = len(means) - 1
    factors = np.zeros((draws, 2, 2))
    factors[:, 0, 0] = np.sqrt(rng.chisquare(freedom, draws))
    factors[:, 1, 1] = np.sqrt(rng.chisquare(freedom - 1, draws))
    factors[:, 1, 0] = rng.standard_normal(draws)
    half = root @ np.swapaxes(np.linalg.inv(factors), 1, 2)
    drawn: np.ndarray = half @ np.swapaxes(half, 1, 2)
    return drawn


def taus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's τ-a of two orders, many at once; ties count as neither.

    Args:
        first: One order by line, (lines, methods).
        second: The other, of the same shape.
    """
    left, right = np.triu_indices(first.shape[1], 1)
    step = max(1, _PAIRS_AT_ONCE // len(left))
    parts = []
    for start in range(0, len(first), step):
        one, other = (
            np.sign(of[start : start + step, left] - of[start : start + step, right])
            for of in (first, second)
        )
        parts.append((one * other).mean(axis=1))
    return np.concatenate(parts)

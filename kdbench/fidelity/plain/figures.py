"""The figures of a comparison over plain text, as `llama-perplexity --kl-divergence` defines them.

Mean:   over all compared positions. The error of a mean is its standard error with positions taken
        as independent, s / √(n - 1) with s² the mean squared deviation; positions of one text are
        not independent, so it is rather too small.
Δp:     the model's probability of the text's next token minus the teacher's, in percent.
Ratio:  exp(mean ln q - mean ln p) of those probabilities, inverted: PPL(model) / PPL(teacher).
Source: tools/perplexity/perplexity.cpp in llama.cpp.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdbench.fidelity.plain.scoring import ChunkValues

QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
_PERCENT = 100.0
_FEWEST = 10  # positions, for an error


@dataclass(frozen=True)
class PlainFigure:
    """A number and its error.

    Attributes:
        value: The number.
        error: Its standard error; 0 for ten positions or fewer.
    """

    value: float
    error: float


@dataclass(frozen=True)
class TextFigures:
    """How far a model is from its teacher over plain text.

    Attributes:
        positions: Number of compared positions.
        kl: Mean KL(p‖q) in nats.
        kl_quantiles: KL by quantile, 0 to 1.
        same_top: Share of positions with the same most likely token, in percent.
        p_change: Mean Δp in percent.
        p_change_rms: Root of the mean square of Δp, in percent.
        p_change_quantiles: Δp by quantile.
        perplexity: The model's perplexity.
        teacher_perplexity: The teacher's.
        log_ratio: Mean ln(PPL(model) / PPL(teacher)).
        ratio: PPL(model) / PPL(teacher).
    """

    positions: int
    kl: PlainFigure
    kl_quantiles: Mapping[float, float]
    same_top: PlainFigure
    p_change: PlainFigure
    p_change_rms: PlainFigure
    p_change_quantiles: Mapping[float, float]
    perplexity: PlainFigure
    teacher_perplexity: PlainFigure
    log_ratio: PlainFigure
    ratio: PlainFigure

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return asdict(self)


def figures_of(chunks: Sequence[ChunkValues]) -> TextFigures:
    """Compute the figures.

    Args:
        chunks: The values of each chunk, one chunk at least.
    """
    kl, log_q, log_p, same = (
        np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in ("kl", "log_q", "log_p", "same_top")
    )
    change = np.exp(log_q) - np.exp(log_p)
    square = _mean(change**2)
    rms = math.sqrt(square.value)
    log_ratio = _mean(log_p - log_q)
    return TextFigures(
        len(kl),
        _mean(kl),
        _quantiles(kl),
        _times(_mean(same), _PERCENT),
        _times(_mean(change), _PERCENT),
        _times(PlainFigure(rms, square.error / (2 * rms) if rms else 0.0), _PERCENT),
        {at: _PERCENT * value for at, value in _quantiles(change).items()},
        _exponential(_mean(-log_q)),
        _exponential(_mean(-log_p)),
        log_ratio,
        _exponential(log_ratio),
    )


def _mean(values: "np.ndarray") -> PlainFigure:
    count = len(values)
    error = float(values.std()) / math.sqrt(count - 1) if count > _FEWEST else 0.0
    return PlainFigure(float(values.mean()), error)


def _quantiles(values: "np.ndarray") -> dict[float, float]:
    return dict(zip(QUANTILES, map(float, np.quantile(values, QUANTILES)), strict=True))


def _times(figure: PlainFigure, factor: float) -> PlainFigure:
    return PlainFigure(factor * figure.value, factor * figure.error)


def _exponential(figure: PlainFigure) -> PlainFigure:
    """E to a number, whose error is carried to first order."""
    value = math.exp(figure.value)
    return PlainFigure(value, value * figure.error)

"""Figures over plain text, against the formulas of llama.cpp's perplexity.cpp in plain Python."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.fidelity.plain.figures import figures_of
from kdbench.fidelity.plain.scoring import ChunkValues


def values(count: int, seed: int) -> ChunkValues:
    rng = np.random.default_rng(seed)
    log_p = -rng.exponential(2.0, count)
    return ChunkValues(
        rng.exponential(0.1, count),
        log_p - rng.normal(0, 0.2, count),
        log_p,
        (rng.random(count) < 0.9).astype(float),
    )


def llama_mean(numbers: list[float]) -> tuple[float, float]:
    """`mean_and_uncertainty` of perplexity.cpp, from sums."""
    count, total, squares = len(numbers), sum(numbers), sum(number**2 for number in numbers)
    mean = total / count
    variance = squares / count - mean * mean
    return mean, math.sqrt(variance / (count - 1)) if variance > 0 and count > 10 else 0.0


def llama_percentile(numbers: list[float], fraction: float) -> float:
    ordered = sorted(numbers)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return (1 - (place - below)) * ordered[below] + (place - below) * ordered[above]


@settings(max_examples=25)
@given(st.lists(st.integers(12, 40), min_size=1, max_size=4), st.integers(0, 1000))
def test_they_are_those_of_llama_cpp(counts: list[int], seed: int) -> None:
    chunks = [values(count, seed + row) for row, count in enumerate(counts)]
    figures = figures_of(chunks)
    kl, log_q, log_p, same = (
        [float(number) for chunk in chunks for number in getattr(chunk, name)]
        for name in ("kl", "log_q", "log_p", "same_top")
    )
    count = len(kl)
    change = [math.exp(q) - math.exp(p) for q, p in zip(log_q, log_p, strict=True)]

    def close(figure: Any, expected: tuple[float, float]) -> None:
        assert (figure.value, figure.error) == pytest.approx(expected, rel=1e-6, abs=1e-9)

    assert figures.positions == count
    close(figures.kl, llama_mean(kl))
    mean, error = llama_mean(change)
    close(figures.p_change, (100 * mean, 100 * error))
    square, square_error = llama_mean([number**2 for number in change])
    rms = math.sqrt(square)
    close(figures.p_change_rms, (100 * rms, 100 * 0.5 / rms * square_error))
    share = sum(same) / count
    close(figures.same_top, (100 * share, 100 * math.sqrt(share * (1 - share) / (count - 1))))
    nll, nll_error = llama_mean([-number for number in log_q])
    base, base_error = llama_mean([-number for number in log_p])
    close(figures.perplexity, (math.exp(nll), math.exp(nll) * nll_error))
    close(figures.teacher_perplexity, (math.exp(base), math.exp(base) * base_error))
    products = sum(q * p for q, p in zip(log_q, log_p, strict=True)) / count
    covariance = (products - nll * base) / (count - 1)
    ratio_error = math.sqrt(max(0.0, nll_error**2 + base_error**2 - 2 * covariance))
    close(figures.log_ratio, (nll - base, ratio_error))
    close(figures.ratio, (math.exp(nll - base), math.exp(nll - base) * ratio_error))
    for at, value in figures.kl_quantiles.items():
        assert value == pytest.approx(llama_percentile(kl, at))
    for at, value in figures.p_change_quantiles.items():
        assert value == pytest.approx(100 * llama_percentile(change, at), abs=1e-9)


def test_equal_models_have_no_error_to_divide_by() -> None:
    zeros, ones = np.zeros(12), np.ones(12)
    figures = figures_of([ChunkValues(zeros, -ones, -ones, ones)])
    assert (figures.kl.value, figures.p_change_rms.value, figures.p_change_rms.error) == (0, 0, 0)
    assert (figures.same_top.value, figures.ratio.value, figures.ratio.error) == (100, 1, 0)
    assert figures_of([ChunkValues(*np.ones((4, 10)))]).kl.error == 0  # too few for an error

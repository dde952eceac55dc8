"""Results of before standard errors were stored get the interval of today."""

from dataclasses import replace

import numpy as np
import pytest

from kdbench.stats.estimates import mean_estimate
from kdbench.store.results import MetricResult, with_error


def stored(column):
    """A metric of before, as it was rounded: a bootstrap's interval, and no standard error."""
    return MetricResult(
        value=round(float(np.mean(column)), 6),
        ci_low=1.0,
        ci_high=99.0,
        seed_sd=None,
        per_seed={},
        n=len(column),
        unit="points",
        direction="higher",
        version="1",
    )


def test_a_stored_metric_gets_the_interval_of_its_documents_despite_rounding():
    # Numbers of documents are rounded to six decimals, and their mean is of the exact ones.
    column = [round(float(value), 6) for value in np.random.default_rng(0).uniform(10, 60, 97)]
    metric = stored(column)
    off = replace(metric, value=metric.value + 1e-6)
    for one in (metric, off):
        found = with_error(one, column)
        expected = mean_estimate(column, "points")
        assert (found.ci_low, found.ci_high) == (expected.ci_low, expected.ci_high)
        assert found.standard_error == pytest.approx(np.std(column, ddof=1) / np.sqrt(97))


def test_a_metric_that_is_not_the_mean_of_its_documents_keeps_its_interval():
    column = [10.0, 20.0, 30.0]
    metric = replace(stored(column), value=20.1)
    assert with_error(metric, column) == metric

"""Scores become results, with error bars or with a reason for a missing value."""

import math
from typing import Any, ClassVar

import numpy as np
import pytest

from kdbench.fidelity.results import Results
from kdbench.fidelity.set_scores import SetScores
from kdbench.fidelity.texts import REFERENCE_SEED
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.metrics import CurveMetric
from kdbench.metrics.calibration import Calibration, SoftCalibrationToTeacher
from kdbench.metrics.divergences import Acceptance, ForwardKL
from kdbench.metrics.entropy import EntropyRatio
from kdbench.metrics.exposure_bias import ExposureError, excess
from kdbench.metrics.top1 import Top1


def line(values: list[float], name: str = "fkl", limit: int | None = None) -> dict[str, Any]:
    """A response with one value per token; every index has its own bucket."""
    width = limit or len(values)
    total = sum(values)
    return {
        "n": len(values),
        "tokens": {name: [total if math.isfinite(total) else None, len(values)]},
        "curves": {
            name: [
                [*values, *[0.0] * (width - len(values))],
                [*[1.0] * len(values), *[0.0] * (width - len(values))],
            ]
        },
        "pooled": {},
        "cut_mass": [0.0, 0.0],
    }


def of(where: str, seed: int, limit: int, *rows: list[float], name: str = "fkl") -> SetScores:
    documents = [f"d{row}" for row in range(len(rows))]
    lines = {
        (document, seed): line(values, name, limit)
        for document, values in zip(documents, rows, strict=True)
    }
    return SetScores(where, documents, [seed], limit, lines)


class ShortExposure(CurveMetric):
    """Exposure error over the first two tokens."""

    name = "exposure_2"
    unit = "percent"
    direction = "lower"
    curve = "fkl"
    sets: ClassVar = ("student", "teacher")
    length = 2

    def value(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return ExposureError().value(first, second)


def exposure(student: SetScores, teacher: SetScores, **more: Any) -> Results:
    results = Results()
    sets = {"student": student, "teacher": teacher}
    results.add_curve_metric(ShortExposure(), sets, more.get("top_k"))
    return results


def test_exposure_error_equals_the_reference_example() -> None:
    """Section 1.10: .2 and .4 on the student's prefixes, .2 and .2 on the teacher's give 50 %."""
    results = exposure(of("student", 1, 2, [0.2, 0.4]), of("teacher", 1, 2, [0.2, 0.2]))
    assert results.metrics["exposure_2"].value == pytest.approx(50)
    curve = results.curves["exposure_2"]
    assert curve["stop"] == [1, 2]
    assert curve["value"] == pytest.approx([0, 50])
    assert curve["n"] == [1, 1]
    assert excess(np.array(0.6), np.array(0.4)) == pytest.approx(50)


def test_exposure_error_averages_over_responses_that_reach_an_index() -> None:
    student = of(
        "student", 1, 2, [0.1, 0.4], [0.3]
    )  # .2, then .4 of the only response that reaches the index
    teacher = of("teacher", 1, 2, [0.2, 0.3], [0.2, 0.1])
    results = exposure(student, teacher)
    assert results.metrics["exposure_2"].value == pytest.approx(50)
    assert results.curves["exposure_2"]["n"] == [2, 1]


def test_exposure_error_is_null_for_responses_that_are_too_short() -> None:
    results = exposure(of("student", 1, 2, [0.2], [0.3]), of("teacher", 1, 2, [0.2, 0.2], [0.1]))
    assert results.metrics["exposure_2"].value is None
    assert results.metrics["exposure_2"].reason == "not defined on these responses"
    limited = exposure(of("student", 1, 1, [0.2]), of("teacher", 1, 1, [0.2]))
    assert limited.metrics["exposure_2"].reason == "responses are limited to fewer than 2 tokens"


def test_exposure_error_has_an_interval_only_if_every_resample_is_defined() -> None:
    rng = np.random.default_rng(0)
    rows = [list(row) for row in rng.uniform(0.1, 1, (20, 2))]
    whole = exposure(of("student", 1, 2, *rows), of("teacher", 1, 2, *rows[::-1]))
    metric = whole.metrics["exposure_2"]
    assert metric.ci_low < metric.value < metric.ci_high
    assert (metric.per_seed, metric.seed_sd, metric.n) == ({}, None, 20)
    rows = [rows[0], [0.2], [0.3]]
    holed = exposure(of("student", 1, 2, *rows), of("teacher", 1, 2, *rows))
    metric = holed.metrics["exposure_2"]
    assert metric.value == pytest.approx(0)
    assert (metric.ci_low, metric.ci_high) == (None, None)


def test_exposure_error_is_null_for_infinite_divergences_or_a_cached_teacher() -> None:
    results = exposure(of("student", 1, 2, [0.2, math.inf]), of("teacher", 1, 2, [0.2, 0.2]))
    assert results.metrics["exposure_2"].reason.startswith("infinite")
    assert results.metrics["exposure_2"].value is None
    two = of("student", 1, 2, [0.2, 0.4]), of("teacher", 1, 2, [0.2, 0.2])
    metric = exposure(*two, top_k=64).metrics["exposure_2"]
    assert (metric.value, metric.reason) == (None, "a teacher's top 64 do not decide it")


# Token metrics


def added(scores: SetScores, metric: Any, top_k: int | None = None) -> Results:
    results = Results()
    results.add_set(scores, [metric], top_k)
    return results


def test_a_token_metric_has_a_macro_and_a_micro_mean() -> None:
    results = added(of("student", 7, 4, [1.0, 2.0, 3.0], [4.0]), ForwardKL())
    metric = results.metrics["fkl@student"]
    assert (metric.value, metric.micro, metric.n) == (3.0, 2.5, 2)
    assert metric.per_seed == {"7": 3.0}
    assert (metric.unit, metric.direction, metric.version) == ("nats", "lower", "1")
    assert (metric.ceiling, metric.bound, metric.reason) == (0.0, None, None)
    assert results.documents["fkl@student"] == [2.0, 4.0]


def test_values_on_references_have_no_seeds() -> None:
    metric = added(of("ref", REFERENCE_SEED, 4, [1.0], [4.0]), ForwardKL()).metrics["fkl@ref"]
    assert (metric.per_seed, metric.seed_sd, metric.n) == ({}, None, 2)
    # Student's interval of 1 and 4: one degree of freedom.
    assert metric.ci_low == pytest.approx(2.5 - 12.7062 * 1.5, rel=1e-5)


def test_a_curve_averages_over_texts_that_reach_an_index() -> None:
    results = added(of("student", 7, 5, [1.0, 2.0, 3.0], [4.0], [7.0, 4.0]), ForwardKL())
    curve = results.curves["fkl@student"]
    assert curve["start"] == [0, 1, 2]
    assert curve["stop"] == [1, 2, 3]
    assert curve["value"] == [4.0, 3.0, 3.0]
    assert curve["n"] == [3, 2, 1]
    assert curve["ci_low"][0] == 1.0
    # In some resamples no response reaches the later indices.
    assert [bool(np.isfinite(bound)) for bound in curve["ci_low"]] == [True, False, False]


def test_beyond_16_tokens_a_bucket_holds_several() -> None:
    values = [float(place) for place in range(30)]
    row = line(values)
    from kdbench.fidelity.buckets import bucket_starts, bucket_sums

    row["curves"]["fkl"] = [
        bucket_sums(np.array(column), bucket_starts(30), 30).tolist()
        for column in (values, [1.0] * len(values))
    ]
    results = added(SetScores("student", ["a"], [1], 30, {("a", 1): row}), ForwardKL())
    curve = results.curves["fkl@student"]
    assert curve["start"][-4:] == [16, 20, 24, 28]
    assert curve["stop"][-4:] == [20, 24, 28, 30]
    assert curve["value"][-4:] == [17.5, 21.5, 25.5, 28.5]
    assert curve["n"][-1] == 1
    assert set(curve["ci_low"]) == {None}  # one prompt


def test_an_infinite_divergence_has_a_reason_and_no_value() -> None:
    results = added(of("student", 7, 2, [1.0, math.inf], [4.0]), ForwardKL())
    metric = results.metrics["fkl@student"]
    assert (metric.value, metric.micro, metric.n) == (None, None, 0)
    assert metric.reason.startswith("infinite: ")
    assert "fkl@student" not in results.documents
    assert results.curves["fkl@student"]["value"] == [2.5, math.inf]


@pytest.mark.parametrize(
    ("kind", "bound"), [(ForwardKL, "lower"), (Acceptance, "upper"), (Top1, None)]
)
def test_with_a_cached_teacher_a_result_records_its_bound(kind: Any, bound: str) -> None:
    scores = of("student", 7, 2, [0.5, 1.0], name=kind.name)
    assert added(scores, kind(), 64).metrics[f"{kind.name}@student"].bound == bound
    assert added(scores, kind()).metrics[f"{kind.name}@student"].bound is None


def test_a_metric_undecided_by_the_top_tokens_is_null() -> None:
    scores = of("student", 7, 2, [0.5, 1.0])
    metric = added(scores, SoftCalibrationToTeacher(), 64).metrics["ece_teacher_soft@student"]
    assert (metric.value, metric.reason) == (None, "a teacher's top 64 do not decide it")


def pooled(where: str, seeds: list[int], rows: dict[tuple[str, int], list[float]]) -> SetScores:
    lines = {key: {**line([0.0]), "pooled": {"entropy_ratio": sums}} for key, sums in rows.items()}
    return SetScores(where, ["a", "b"], seeds, 1, lines)


def test_a_pooled_metric_is_a_ratio_of_sums() -> None:
    rows = {
        ("a", 1): [1.0, 2.0],
        ("b", 1): [5.0, 4.0],
        ("a", 2): [0.0, 2.0],
        ("b", 2): [2.0, 4.0],
    }
    metric = added(pooled("student", [1, 2], rows), EntropyRatio()).metrics["entropy_ratio@student"]
    assert metric.value == pytest.approx(8 / 12)
    assert metric.per_seed == {"1": 1.0, "2": pytest.approx(2 / 6)}
    assert (metric.n, metric.ceiling) == (2, 1.0)
    # Without a the ratio is 7/8, without b 1/4: pseudo-values 11/24 and 13/12.
    assert metric.standard_error == pytest.approx((13 / 12 - 11 / 24) / 2)
    assert metric.ci_low is not None
    assert metric.ci_low < 1 / 4


def test_a_pooled_metric_without_sums_is_null() -> None:
    rows = {("a", REFERENCE_SEED): [0.0, 0.0], ("b", REFERENCE_SEED): [0.0, 0.0]}
    metric = added(pooled("ref", [REFERENCE_SEED], rows), EntropyRatio())
    metric = metric.metrics["entropy_ratio@ref"]
    assert (metric.value, metric.ci_low, metric.n, metric.per_seed) == (None, None, 0, {})
    assert metric.reason == "not defined on these responses"


def test_a_ratio_undefined_in_some_resamples_has_no_interval() -> None:
    """The teacher's entropy is zero on every token of the first prompt."""
    rows = {("a", 1): [1.0, 0.0], ("b", 1): [2.0, 1.0]}
    metric = added(pooled("student", [1], rows), EntropyRatio()).metrics["entropy_ratio@student"]
    assert metric.value == 3.0
    assert (metric.ci_low, metric.ci_high) == (None, None)


def test_calibration_on_references_equals_the_worked_example() -> None:
    """Section 1.6: confidences .9, .9, .6, .6; correct 1, 0, 1, 1: .4."""
    from torch import tensor

    from kdbench.metrics.calibration import binned

    sums = binned(tensor([0.9, 0.9, 0.6, 0.6]), tensor([1.0, 0.0, 1.0, 1.0])).double()
    lines = {
        (name, REFERENCE_SEED): {**line([0.0]), "pooled": {"ece": prompt_sums.sum(0).tolist()}}
        for name, prompt_sums in zip("ab", sums.split(2), strict=True)
    }
    scores = SetScores("ref", ["a", "b"], [REFERENCE_SEED], 1, lines)
    assert added(scores, Calibration()).metrics["ece@ref"].value == pytest.approx(0.4, abs=1e-6)


# The on-policy gap


def test_the_on_policy_gap_is_per_prompt_and_seed() -> None:
    ref = of("ref", REFERENCE_SEED, 1, [0.5], [0.25])
    lines = {
        ("d0", 1): line([1.0]),
        ("d1", 1): line([0.5]),
        ("d0", 2): line([2.0]),
    }
    results = Results()
    results.add_gap(ForwardKL(), SetScores("student", ["d0", "d1"], [1, 2], 1, lines), ref)
    metric = results.metrics["fkl@student-ref"]
    assert metric.per_seed == {"1": pytest.approx(0.375), "2": 1.5}
    assert metric.value == pytest.approx((1.0 + 0.25) / 2)
    assert (metric.n, metric.ceiling, metric.micro) == (2, 0.0, None)
    assert "fkl@student-ref" not in results.documents


def test_a_gap_of_infinite_or_missing_values_is_null() -> None:
    ref = of("ref", REFERENCE_SEED, 1, [math.inf], [0.25])
    results = Results()
    results.add_gap(
        ForwardKL(), SetScores("student", ["d0", "d1"], [1], 1, {("d0", 1): line([1.0])}), ref
    )
    metric = results.metrics["fkl@student-ref"]
    assert (metric.value, metric.n) == (None, 0)
    assert metric.reason.startswith("infinite")


def test_null_results_have_a_unit_and_a_reason() -> None:
    results = Results()
    asked = wanted_metrics(["top1", "exposure_error"])
    results.add_nulls(["top1@ref", "top1@student-ref", "exposure_error"], asked, "because")
    for name, unit in (("top1@ref", "rate"), ("exposure_error", "percent")):
        metric = results.metrics[name]
        assert (metric.value, metric.reason, metric.unit) == (None, "because", unit)
        assert (metric.per_seed, metric.n, metric.version) == ({}, 0, "1")
    assert results.documents == {}

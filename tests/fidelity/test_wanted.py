"""What the words of `metrics=` ask for."""

from typing import ClassVar

import pytest

from kdbench.errors import InputError
from kdbench.fidelity.wanted import GAP, SETS, wanted
from kdbench.metrics import (
    CurveMetric,
    PairMetric,
    PositionMetric,
    TeacherMetric,
    TokenMetric,
    metrics,
)

TEACHER = [name for name in metrics.names() if issubclass(metrics.get(name), TeacherMetric)]


def test_no_word_asks_for_every_metric_on_all_its_sets() -> None:
    asked = wanted([])
    assert [metric.name for metric in asked.metrics] == TEACHER
    for metric in asked.metrics:
        if isinstance(metric, PositionMetric):
            names = {f"{metric.name}@{where}" for where in metric.sets}
        else:
            names = {metric.name}
        if isinstance(metric, TokenMetric) and metric.on_policy_gap:
            names.add(f"{metric.name}@{GAP}")
        assert names <= asked.names
    assert {name for name in asked.names if "@" not in name} == {
        metric.name for metric in asked.metrics if not isinstance(metric, PositionMetric)
    }


def test_a_bare_name_asks_for_all_its_sets_and_the_gap() -> None:
    assert wanted(["top1"]).names == {"top1@ref", "top1@teacher", "top1@student", f"top1@{GAP}"}
    assert wanted(["k1"]).names == {"k1@teacher", "k1@student"}


@pytest.mark.parametrize("where", SETS)
def test_a_set_asks_for_that_alone(where: str) -> None:
    asked = wanted([f"top1@{where}"])
    assert asked.names == {f"top1@{where}"}
    assert [[m.name for m in asked.at(one)] for one in SETS] == [
        ["top1"] if one == where else [] for one in SETS
    ]
    assert asked.gaps() == []


def test_the_gap_asks_for_both_its_ends() -> None:
    asked = wanted([f"fkl@{GAP}"])
    assert asked.names == {"fkl@student-ref", "fkl@student", "fkl@ref"}
    assert [metric.name for metric in asked.gaps()] == ["fkl"]


def test_a_curve_metric_asks_for_the_metric_that_it_is_made_of() -> None:
    asked = wanted(["exposure_error"])
    assert asked.names == {"exposure_error", "fkl@student", "fkl@teacher"}
    assert {metric.name for metric in asked.metrics} == {"exposure_error", "fkl"}
    assert [metric.name for metric in asked.curve_metrics()] == ["exposure_error"]
    both = wanted(["exposure_error", "fkl@ref"])
    assert both.names == asked.names | {"fkl@ref"}


def test_several_words_ask_for_all_of_them() -> None:
    asked = wanted(["top1@ref", "top1@student", "rougeL_teacher", "lm_loss", "rougeL"])
    assert asked.names == {"top1@ref", "top1@student", "rougeL_teacher"}
    assert sorted(metric.name for metric in asked.metrics) == ["rougeL_teacher", "top1"]


def test_where_only_metrics_of_one_model_are_asked_for_there_is_nothing_to_compare() -> None:
    assert (wanted(["rougeL"]).names, wanted(["rougeL"]).metrics) == (frozenset(), ())


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("top1@refs", "metric 'top1@refs': there is top1@ref, top1@teacher, top1@student, top1@st"),
        ("k1@ref", "metric 'k1@ref': there is k1@teacher, k1@student"),
        ("k1@student-ref", "metric 'k1@student-ref': there is"),
        ("ece@student", "metric 'ece@student': there is ece@ref"),
        ("rougeL_teacher@ref", "'rougeL_teacher' has no position set"),
        ("top2", "unknown metric 'top2': did you mean 'top1'"),
        ("top2@ref", "unknown metric 'top2'"),
    ],
)
def test_a_word_that_asks_for_nothing_is_one_line(word: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        wanted([word])
    assert "\n" not in str(error.value)


def test_the_sets_of_a_metric_of_somebody_elses(with_metric) -> None:
    class Nine(TokenMetric):
        name = "nine"
        unit = "rate"
        direction = "none"
        sets: ClassVar = ("teacher",)

        def values(self, at):
            return at.log_q.new_full((len(at.targets),), 9)

    class NineCurve(CurveMetric):
        name = "nine_curve"
        unit = "rate"
        direction = "none"
        curve = "nine"
        sets: ClassVar = ("teacher", "teacher")
        length = 2

        def value(self, first, _):
            return first.sum(-1)

    class Same(PairMetric):
        name = "same"
        unit = "rate"
        direction = "higher"

        def score(self, *_):
            return 1.0

    for kind in (Nine, NineCurve, Same):
        with_metric(kind)
    assert wanted(["nine", "same"]).names == {"nine@teacher", "same"}
    assert wanted(["nine_curve"]).names == {"nine_curve", "nine@teacher"}
    assert wanted([]).names >= {"nine@teacher", "nine_curve", "same"}

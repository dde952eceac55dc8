"""The metrics that the names in `metrics=` select."""

from typing import ClassVar

import pytest

from kdbench.errors import InputError
from kdbench.fidelity.wanted import GAP, check_metrics, wanted_metrics
from kdbench.metrics import (
    POSITION_SETS,
    CurveMetric,
    PairMetric,
    PositionMetric,
    TeacherMetric,
    TokenMetric,
    metrics,
)

TEACHER = [name for name in metrics.names() if issubclass(metrics.get(name), TeacherMetric)]


def compares(*kinds: str) -> list[str]:
    return [name for name in TEACHER if metrics.get(name).compares in kinds]


@pytest.mark.parametrize("names", [[], ["headline"], ["all"]])
def test_a_task_scored_by_likelihood_has_all_metrics_of_answers_and_options(
    names: list[str],
) -> None:
    asked = wanted_metrics(names, options=True)
    assert sorted(asked.names) == compares("answers", "options")
    named = wanted_metrics([*names, "top1@ref", "option_jsd"], options=True)
    assert {"top1@ref", "option_jsd"} <= named.names


def test_all_means_every_metric_on_all_its_sets() -> None:
    asked = wanted_metrics(["all"])
    assert [metric.name for metric in asked.metrics] == compares("responses", "answers")
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


HEADLINE = {
    *("acceptance", "top1", "fkl", "rkl", "entropy_ratio", "ece", "exposure_error"),
    *("rougeL_teacher", "answer_agreement", "answer_accuracy", "teacher_accuracy"),
    *("error_agreement", "error_kappa"),
    *(f"answers_{cell}" for cell in ("rr", "rw", "wr", "wws", "wwd")),
}


@pytest.mark.parametrize("names", [[], ["headline"], ["headline", "top1@ref"]])
def test_the_default_is_the_headline_set(names: list[str]) -> None:
    asked = wanted_metrics(names)
    assert {metric.name for metric in asked.metrics} == HEADLINE
    assert {name.partition("@")[0] for name in asked.names} == HEADLINE
    assert asked.names < wanted_metrics(["all"]).names
    assert {"acceptance@student", "top1@student", "fkl@teacher", "rkl@student"} < asked.names


def test_a_name_is_added_to_a_set() -> None:
    more = wanted_metrics(["headline", "kendall@ref", "rougeL_retained"])
    assert more.names == wanted_metrics([]).names | {"kendall@ref", "rougeL_retained"}
    assert wanted_metrics(["all", "kendall@ref"]).names == wanted_metrics(["all"]).names


def test_a_set_of_metrics_has_no_position_set() -> None:
    with pytest.raises(InputError, match="unknown metric 'all'"):
        wanted_metrics(["all@ref"])


@pytest.mark.parametrize("names", [(), ("all",), ("headline",), ("headline", "rougeL")])
def test_sets_of_metrics_need_no_teacher(names: tuple[str, ...]) -> None:
    check_metrics(names, has_teacher=False, caches_scores=False)
    check_metrics(names, has_teacher=True, caches_scores=True)


def test_a_named_metric_needs_its_teacher() -> None:
    with pytest.raises(InputError, match="metric 'kendall' compares with a teacher"):
        check_metrics(("headline", "kendall"), has_teacher=False, caches_scores=False)
    with pytest.raises(InputError, match="names no token metric"):
        check_metrics(("rougeL_teacher",), has_teacher=True, caches_scores=True)


def test_a_bare_name_means_all_its_sets_and_the_gap() -> None:
    assert wanted_metrics(["top1"]).names == {
        "top1@ref",
        "top1@teacher",
        "top1@student",
        f"top1@{GAP}",
    }
    assert wanted_metrics(["k1"]).names == {"k1@teacher", "k1@student"}


@pytest.mark.parametrize("where", POSITION_SETS)
def test_a_name_with_a_position_set_means_only_that_set(where: str) -> None:
    asked = wanted_metrics([f"top1@{where}"])
    assert asked.names == {f"top1@{where}"}
    assert [[m.name for m in asked.at(position_set)] for position_set in POSITION_SETS] == [
        ["top1"] if position_set == where else [] for position_set in POSITION_SETS
    ]
    assert asked.gaps() == []


def test_the_gap_includes_both_its_operands() -> None:
    asked = wanted_metrics([f"fkl@{GAP}"])
    assert asked.names == {"fkl@student-ref", "fkl@student", "fkl@ref"}
    assert [metric.name for metric in asked.gaps()] == ["fkl"]


def test_a_curve_metric_includes_its_underlying_metric() -> None:
    asked = wanted_metrics(["exposure_error"])
    assert asked.names == {"exposure_error", "fkl@student", "fkl@teacher"}
    assert {metric.name for metric in asked.metrics} == {"exposure_error", "fkl"}
    assert [metric.name for metric in asked.curve_metrics()] == ["exposure_error"]
    both = wanted_metrics(["exposure_error", "fkl@ref"])
    assert both.names == asked.names | {"fkl@ref"}


def test_several_names_are_combined() -> None:
    asked = wanted_metrics(["top1@ref", "top1@student", "rougeL_teacher", "lm_loss", "rougeL"])
    assert asked.names == {"top1@ref", "top1@student", "rougeL_teacher"}
    assert sorted(metric.name for metric in asked.metrics) == ["rougeL_teacher", "top1"]


def test_metrics_of_a_single_model_need_no_comparison() -> None:
    asked = wanted_metrics(["rougeL"])
    assert (asked.names, asked.metrics) == (frozenset(), ())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "top1@refs",
            "metric 'top1@refs': choose from top1@ref, top1@teacher, top1@student",
        ),
        ("k1@ref", "metric 'k1@ref': choose from k1@teacher, k1@student"),
        ("k1@student-ref", "metric 'k1@student-ref': choose from"),
        ("ece@student", "metric 'ece@student': choose from ece@ref"),
        ("rougeL_teacher@ref", "'rougeL_teacher' has no position set"),
        ("top2", "unknown metric 'top2': did you mean 'top1'"),
        ("top2@ref", "unknown metric 'top2'"),
    ],
)
def test_an_unknown_name_gives_a_one_line_error(name: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        wanted_metrics([name])
    assert "\n" not in str(error.value)


def test_the_position_sets_of_a_plug_ins_metric(with_metric) -> None:
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
    assert wanted_metrics(["nine", "same"]).names == {"nine@teacher", "same"}
    assert wanted_metrics(["nine_curve"]).names == {"nine_curve", "nine@teacher"}
    assert wanted_metrics([]).names >= {"nine@teacher", "nine_curve", "same"}
    Same.by_default = False
    assert "same" not in wanted_metrics(["headline"]).names
    assert "same" in wanted_metrics(["all"]).names

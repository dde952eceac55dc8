"""Pairs of student and teacher responses, and the results from them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from kdbench.fidelity.pairs import add_pairs, partner
from kdbench.fidelity.results import Results
from kdbench.fidelity.wanted import WantedMetrics
from kdbench.metrics import (
    Answer,
    CorpusPairMetric,
    PairMetric,
    PooledPairMetric,
    PromptPairMetric,
    TeacherMetric,
)
from kdbench.metrics.same_noise import FirstDivergence, SameText
from kdbench.metrics.similarity import RougeLTeacher
from kdbench.store.results import MetricResult


def answers(*texts: str) -> list[Answer]:
    return [Answer(text, ("r",)) for text in texts]


STUDENT = {10: answers("s a 10", "s b 10"), 20: answers("s a 20", "s b 20")}
TEACHER = {10: answers("t a 10", "t b 10"), 20: answers("t a 20", "t b 20")}


class Seen:
    """Metrics that record their arguments."""

    shown: list[tuple[str, str]]

    def note(self, student: Answer, teacher: Answer) -> float:
        self.shown.append((student.text, teacher.text))
        return float(len(self.shown))


class Pair(Seen, PairMetric):
    name, unit, direction = "pair", "rate", "higher"

    def __init__(self) -> None:
        self.shown = []

    def score(self, student: Answer, teacher: Answer) -> float:
        return self.note(student, teacher)


class SameNoise(Pair):
    name, same_noise = "same_noise", True


class Pooled(Seen, PooledPairMetric):
    name, unit, direction = "pooled", "ratio", "higher"

    def __init__(self) -> None:
        self.shown = []

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        self.note(student, teacher)
        return [len(student.text), 2.0]

    def value(self, sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1]


class Corpus(CorpusPairMetric):
    name, unit, direction = "corpus", "rate", "none"

    def __init__(self) -> None:
        self.shown: list[list[tuple[str, str]]] = []

    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float:
        self.shown.append([(a.text, b.text) for a, b in zip(student, teacher, strict=True)])
        return float(len(self.shown))


class Prompt(PromptPairMetric):
    name, unit, direction = "prompt", "points", "none"

    def __init__(self) -> None:
        self.shown: list[tuple[list[str], list[str]]] = []

    def score(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float:
        self.shown.append(([a.text for a in student], [a.text for a in teacher]))
        return float(len(self.shown))


def added(metric: TeacherMetric, student=STUDENT, teacher=TEACHER) -> MetricResult:
    results = Results()
    add_pairs(results, WantedMetrics((metric,), frozenset({metric.name})), student, teacher)
    (name,) = results.metrics
    assert name == metric.name
    return results.metrics[name]


@pytest.mark.parametrize(
    ("seed", "seeds", "other"),
    [(10, [10, 20, 30], 20), (20, [10, 20, 30], 30), (30, [10, 20, 30], 10), (0, [0], 0)],
)
def test_partners_have_the_next_seed_unless_the_noise_is_shared(
    seed: int, seeds: list[int], other: int
) -> None:
    assert partner(seed, seeds, same_noise=False) == other
    assert partner(seed, seeds, same_noise=True) == seed


@pytest.mark.parametrize("make", [Pair, Pooled])
def test_responses_are_paired_with_the_teachers_next_seed(make: Callable) -> None:
    metric = make()
    added(metric)
    of_student = [pair for pair in metric.shown if pair[0].startswith("s")]
    of_teacher = [pair for pair in metric.shown if pair[0].startswith("t")]
    assert of_student == [
        ("s a 10", "t a 20"),
        ("s b 10", "t b 20"),
        ("s a 20", "t a 10"),
        ("s b 20", "t b 10"),
    ]
    assert of_teacher == [(a.replace("s", "t"), b) for a, b in of_student]


def test_same_noise_metrics_pair_the_same_seed() -> None:
    metric = SameNoise()
    added(metric)
    assert metric.shown[-4:] == [(a, a.replace("s", "t")) for a, _ in metric.shown[-4:]]


def test_a_single_seed_is_paired_with_the_teachers_second_one() -> None:
    metric = Pair()
    result = added(metric, {10: STUDENT[10]})
    assert ("s a 10", "t a 20") in metric.shown
    assert ("t a 10", "t a 20") in metric.shown
    assert list(result.per_seed) == ["10"]


def test_greedy_responses_are_paired_with_greedy_ones() -> None:
    metric = Pair()
    result = added(metric, {0: answers("s")}, {0: answers("t")})
    assert metric.shown == [("t", "t"), ("s", "t")]
    assert (result.n, result.seed_sd) == (1, None)


def test_a_corpus_metric_has_one_value_per_seed_and_no_interval() -> None:
    metric = Corpus()
    result = added(metric)
    assert metric.shown[-2:] == [
        [("s a 10", "t a 20"), ("s b 10", "t b 20")],
        [("s a 20", "t a 10"), ("s b 20", "t b 10")],
    ]
    assert (result.per_seed, result.ci_low, result.n) == ({"10": 3.0, "20": 4.0}, None, 2)
    assert result.ceiling == 1.5


def test_a_prompt_metric_has_one_value_over_all_seeds() -> None:
    metric = Prompt()
    result = added(metric)
    assert metric.shown[-2:] == [
        (["s a 10", "s a 20"], ["t a 10", "t a 20"]),
        (["s b 10", "s b 20"], ["t b 10", "t b 20"]),
    ]
    assert (result.per_seed, result.seed_sd, result.n) == ({}, None, 2)
    assert result.value == 3.5
    assert result.ci_low is not None


def test_a_pooled_metric_is_computed_from_sums() -> None:
    result = added(
        Pooled(),
        {1: answers("a", "aaa"), 2: answers("aa", "aa")},
        {1: TEACHER[10]} | {2: TEACHER[20]},
    )
    assert result.value == pytest.approx((1 + 3 + 2 + 2) / (4 * 2))
    assert result.per_seed == {"1": 1.0, "2": 1.0}
    assert result.ci_low <= result.value <= result.ci_high


# The built-in metrics


def test_the_ceiling_is_perfect_or_the_teacher_against_itself() -> None:
    teacher = {1: answers("the cat sat"), 2: answers("the cat ran")}
    student = {1: answers("a dog"), 2: answers("a cow")}
    assert added(SameText(), student, teacher).ceiling == 1.0
    result = added(RougeLTeacher(), student, teacher)
    assert result.value == 0
    assert result.ceiling == pytest.approx(100 * 2 / 3)


def test_first_divergence_is_the_index_of_the_first_token_that_differs() -> None:
    """The example of section 1.9 of the reference, with shared noise."""

    def sampled(*tokens: int) -> list[Answer]:
        return [Answer("x", ("r",), tokens=tokens)]

    student = {1: sampled(5, 6, 7, 8), 2: sampled(5, 6)}
    teacher = {1: sampled(5, 6, 9, 8), 2: sampled(5, 6, 7)}
    result = added(FirstDivergence(), student, teacher)
    assert result.per_seed == {"1": 2.0, "2": 2.0}
    assert result.ceiling == pytest.approx((4 + 3) / 2)
    unknown = added(FirstDivergence(), {1: answers("x")}, {1: answers("x")})
    assert (unknown.value, unknown.reason) == (None, "not defined on these responses")


def test_same_noise_metrics_give_a_reason_when_the_noise_differs() -> None:
    asked = WantedMetrics((SameText(), RougeLTeacher()), frozenset({"same_text", "rougeL_teacher"}))
    results = Results()
    add_pairs(results, asked, STUDENT, TEACHER, "because")
    assert results.metrics["same_text"].value is None
    assert results.metrics["same_text"].reason == "because"
    assert results.metrics["rougeL_teacher"].value is not None
    assert list(results.documents) == ["rougeL_teacher"]


def test_metrics_of_other_kinds_are_ignored() -> None:
    from kdbench.metrics.top1 import Top1

    results = Results()
    add_pairs(results, WantedMetrics((Top1(),), frozenset({"top1@ref"})), STUDENT, TEACHER)
    assert results.metrics == {}


def test_documents_without_a_reference_do_not_count() -> None:
    class PairOfReferences(Pair):
        name, needs_reference = "pair_of_references", True

    class PooledOfReferences(Pooled):
        name, needs_reference = "pooled_of_references", True

    pair, pooled = PairOfReferences(), PooledOfReferences()
    wanted = WantedMetrics((pair, pooled), frozenset({pair.name, pooled.name}))
    student = {1: [Answer("s a", ("r",)), Answer("s b", ())]}
    teacher = {seed: [Answer("t a", ("r",)), Answer("t b", ())] for seed in (1, 2)}
    results = Results()
    add_pairs(results, wanted, student, teacher)
    assert {text for shown in (pair.shown, pooled.shown) for text, _ in shown} == {"s a", "t a"}
    assert results.documents["pair_of_references"][1] is None
    assert results.metrics["pair_of_references"].n == 1
    none = {
        seed: [Answer(answer.text, ()) for answer in of_seed] for seed, of_seed in teacher.items()
    }
    results = Results()
    add_pairs(results, wanted, {1: none[1]}, none)
    reasons = {metric.reason for metric in results.metrics.values()}
    assert reasons == {"the prompts have no references"}

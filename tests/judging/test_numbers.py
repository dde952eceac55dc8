"""Metrics from judgements, compared with values by hand and with plain numpy."""

import numpy as np
import pytest

from kdbench.judging.grades import Numbers, add_grades
from kdbench.judging.judgements import Judgement
from kdbench.judging.preferences import add_preferences


def scored(*scores: float) -> Judgement:
    return Judgement("k", "score", 1, "scored", scores)


UNREAD = Judgement("k", "score", 2, "unparsable", None)
REFUSED = Judgement("k", "score", 1, "refused", None)
LONG = Judgement("k", "score", 1, "too long", None)


def grades(final: dict[int, list[Judgement]], with_reference: bool = True, n: int = 0) -> Numbers:
    numbers = Numbers("1 j", n or len(final[1]))
    add_grades(numbers, final, with_reference)
    return numbers


def test_the_ratio_is_that_of_the_totals_and_not_the_mean_of_ratios() -> None:
    numbers = grades({1: [scored(2, 4), scored(9, 6)], 2: [scored(4, 8), scored(5, 10)]})
    metric = numbers.metrics["judge"]
    assert metric.value == pytest.approx(100 * 20 / 28)
    assert metric.per_seed == pytest.approx({"1": 100 * 11 / 10, "2": 100 * 9 / 18})
    assert numbers.metrics["judge_score"].value == pytest.approx(5)
    assert numbers.metrics["judge_reference"].value == pytest.approx(7)
    assert (metric.unit, metric.direction, metric.version) == ("percent", "higher", "1 j")


def test_the_interval_of_the_ratio_agrees_with_a_bootstrap_of_its_own() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(1, 11, 60), rng.integers(3, 11, 60)
    metric = grades({1: [scored(*pair) for pair in zip(x, y, strict=True)]}).metrics["judge"]
    rows = rng.integers(0, 60, (20_000, 60))
    low, high = np.quantile(100 * x[rows].sum(1) / y[rows].sum(1), [0.025, 0.975])
    assert (metric.ci_low, metric.ci_high) == pytest.approx((low, high), abs=0.05 * (high - low))


def test_scores_per_document_have_the_mean_and_the_spread_of_the_ratio() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(1, 11, 200), rng.integers(3, 11, 200)
    numbers = grades({1: [scored(*pair) for pair in zip(x, y, strict=True)]})
    metric, column = numbers.metrics["judge"], np.array(numbers.columns["judge"])
    assert column.mean() == pytest.approx(metric.value)
    half = 1.96 * column.std(ddof=1) / np.sqrt(200)
    assert half == pytest.approx((metric.ci_high - metric.ci_low) / 2, rel=0.05)


def test_what_gives_no_score_is_counted_and_left_out() -> None:
    numbers = grades({1: [scored(4, 8), UNREAD, REFUSED, LONG, scored(8, 8)]})
    assert numbers.metrics["judge"].value == pytest.approx(75)
    assert numbers.metrics["judge"].n == numbers.metrics["judge_score"].n == 2
    assert numbers.metrics["judge_unparsable"].value == pytest.approx(1 / 5)
    assert numbers.metrics["judge_refused"].value == pytest.approx(2 / 5)
    assert numbers.metrics["judge_unparsable"].n == 5
    assert numbers.columns["judge"][1:4] == [None, None, None]


def test_without_references_there_is_a_score_and_a_reason_for_no_ratio() -> None:
    numbers = grades({1: [scored(4), scored(8)]}, with_reference=False)
    assert numbers.metrics["judge_score"].value == 6
    assert numbers.metrics["judge"].value is None
    assert numbers.metrics["judge"].reason == "the judge saw no reference"
    assert "judge_reference" not in numbers.metrics


def test_if_no_score_can_be_read_nothing_is_made_up() -> None:
    numbers = grades({1: [UNREAD, UNREAD]})
    assert numbers.metrics["judge"].value is None
    assert numbers.metrics["judge"].reason == "the judge gave no score that could be read"
    assert numbers.columns["judge"] == [None, None]
    assert numbers.metrics["judge_unparsable"].value == 1


def test_documents_behind_the_limit_have_no_score() -> None:
    numbers = grades({1: [scored(4, 8)]}, n=3)
    assert numbers.columns["judge_score"] == [4, None, None]


FIRST, SECOND, TIE = scored(1.0), scored(0.0), scored(0.5)


@pytest.mark.parametrize(
    ("given", "swapped", "rate", "outcome", "flips"),
    [
        (FIRST, SECOND, 1, "wins", 0),  # better in both orders
        (SECOND, FIRST, 0, "losses", 0),
        (TIE, TIE, 0.5, "ties", 0),
        (FIRST, FIRST, 0.5, "ties", 1),  # whichever comes first
        (SECOND, SECOND, 0.5, "ties", 1),
        (FIRST, TIE, 0.75, "ties", 1),
        (TIE, FIRST, 0.25, "ties", 1),
    ],
)
def test_a_pair_in_both_orders(
    given: Judgement, swapped: Judgement, rate: float, outcome: str, flips: float
) -> None:
    numbers = Numbers("1 j", 1, "@b")
    add_preferences(numbers, {1: [given]}, {1: [swapped]}, {1: np.array([[3.0, 2.0]])})
    values = {name: metric.value for name, metric in numbers.metrics.items()}
    assert values["win_rate@b"] == rate
    assert [name for name in ("wins", "ties", "losses") if values[f"{name}@b"]] == [outcome]
    assert values["judge_flips@b"] == flips
    assert values["words_ratio@b"] == 1.5


def test_equal_responses_tie_and_do_not_count_as_flips() -> None:
    numbers = Numbers("1 j", 3, "@b")
    given, swapped = {1: [FIRST, None, UNREAD]}, {1: [FIRST, None, FIRST]}
    add_preferences(numbers, given, swapped, {1: np.ones((3, 2))})
    metrics = numbers.metrics
    assert metrics["win_rate@b"].value == 0.5
    assert metrics["win_rate@b"].n == 2  # the pair with an unread reply is left out
    assert (metrics["judge_flips@b"].value, metrics["judge_flips@b"].n) == (1, 1)
    assert (metrics["judge_unparsable@b"].value, metrics["judge_unparsable@b"].n) == (0.25, 2)

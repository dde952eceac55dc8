"""Repeated sampling: closed forms against enumeration, values by hand, unbiasedness, coverage."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import InputError
from kdbench.measuring.repeated import prompt_results, prompt_scores
from kdbench.metrics import (
    Answer,
    PromptMetric,
    is_known,
    make_metrics,
    of_repeated,
    result_name,
    with_stored,
)
from kdbench.metrics.repeated import MajorityOfK, PassAtK, majority_chances

RIGHT = "7"


def answers(*finals: str | None) -> list[Answer]:
    """Responses with these final answers, of which 7 is right."""
    return [Answer(f or "", (RIGHT,), final=f, right=f == RIGHT) for f in finals]


def score(name: str, responses: list[Answer], k: int) -> float | None:
    (metric,) = make_metrics([f"{name}@{k}"])
    assert isinstance(metric, PromptMetric)
    return metric.score(responses, k)


def vote(finals: tuple[str | None, ...]) -> float:
    """The chance that 7 wins: 1 over the number of winners, if it is among them."""
    counts = {final: finals.count(final) for final in finals if final is not None}
    winners = [final for final, count in counts.items() if count == max(counts.values())]
    return 1 / len(winners) if RIGHT in winners else 0.0


drawn = st.lists(st.sampled_from([RIGHT, "8", "9", "10", None]), min_size=1, max_size=9)


@given(drawn, st.data())
def test_each_is_the_mean_over_all_subsets(finals: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(finals)))
    subsets = list(combinations(finals, k))
    responses = answers(*finals)
    any_right = np.mean([RIGHT in subset for subset in subsets])
    assert score("pass", responses, k) == pytest.approx(any_right)
    assert score("maj", responses, k) == pytest.approx(np.mean([vote(s) for s in subsets]))
    share = np.mean([subset.count(RIGHT) / k for subset in subsets])
    assert score("avg", responses, k) == pytest.approx(share)


def test_the_values_by_hand_of_the_docstring() -> None:
    responses = answers(RIGHT, "8", "8", None)
    assert [score("pass", responses, k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert [score("maj", responses, k) for k in (1, 2, 3, 4)] == pytest.approx(
        [0.25, 1 / 3, 1 / 4, 0]
    )
    assert score("avg", responses, 3) == 0.25


def test_equal_wrong_numbers_share_their_votes_and_right_answers_count_as_one() -> None:
    wrong = answers("8", "8.0", "$8")
    right = [Answer("", (RIGHT,), final=text, right=True) for text in ("7", "seven")]
    assert score("maj", [*right, *wrong], 5) == 0.0
    assert score("maj", [*right, *answers("8", "9")], 4) == 1.0


@pytest.mark.parametrize("name", ["pass", "maj", "avg"])
def test_without_a_verdict_on_every_response_there_is_no_number(name: str) -> None:
    assert score(name, [*answers(RIGHT), Answer("7", (RIGHT,))], 1) is None


def test_one_vote_is_the_share_of_right_answers_and_many_votes_stay_a_chance() -> None:
    chances = majority_chances(200, (150, 100, 30, *(1,) * 20), 500)
    assert len(chances) == 1000
    assert chances[0] == pytest.approx(0.2)
    assert all(0 <= chance <= 1 + 1e-9 for chance in chances)
    assert chances[-1] == pytest.approx(1.0)
    with pytest.raises(InputError, match="'maj': takes 1000 responses"):
        score("maj", answers(*[RIGHT] * 1001), 1)


def test_without_a_k_the_powers_of_two_and_n_are_measured() -> None:
    by_name = {metric.name: metric for metric in make_metrics(["pass", "avg", "maj@3"], 12)}
    ks = {name: metric.ks for name, metric in by_name.items() if isinstance(metric, PromptMetric)}
    assert {k: list(v) for k, v in ks.items()} == {
        "pass": [1, 2, 4, 8, 12],
        "avg": [12],
        "maj": [3],
    }
    (both,) = make_metrics(["pass", "pass@3"], 4)
    assert isinstance(both, PromptMetric)
    assert both.result_names == ["pass@1", "pass@2", "pass@3", "pass@4"]
    assert PassAtK().usual(1) == (1,)
    assert "pass" not in {metric.name for metric in make_metrics()}
    assert "pass" in {metric.name for metric in make_metrics(["all"], 4)}


@pytest.mark.parametrize("name", ["pass@", "pass@0", "pass@-1", "pass@x", "pass@2.5", "pass@²"])
def test_a_k_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="a whole number of 1 or more must follow the @"):
        make_metrics([name], 4)


def test_more_responses_than_seeds_are_refused() -> None:
    message = r"'pass@8': needs 8 responses to each prompt, and there are 5.*seeds=1-8"
    with pytest.raises(InputError, match=message):
        make_metrics(["pass@8"], 5)


def test_names_with_a_k_stand_beside_position_sets_and_names_of_lm_eval() -> None:
    known = {"pass@2": 0, "pass@16": 0, "top1@student": 0}
    assert result_name("pass@4", known) == "pass@4"
    assert result_name("pass", known) == "pass@16"
    assert result_name("maj", known) == "maj"
    assert result_name("pass@ref", known) is None
    assert result_name("top1", known) == "top1@student"
    # The metric of lm-eval's humaneval is not ours.
    assert not is_known("pass@1,create_test")
    assert not of_repeated("pass@1,create_test")
    assert is_known("pass@1")


def test_stored_ks_are_kept_and_count_as_measured() -> None:
    (metric,) = with_stored(make_metrics(["pass@2"], 4), ["pass@4", "top1@ref", "pass@1,test"])
    assert isinstance(metric, PromptMetric)
    assert metric.result_names == ["pass@2", "pass@4"]
    results = prompt_results([metric], prompt_scores([metric], {s: answers("7") for s in range(4)}))
    assert metric.is_current(results)
    assert not metric.is_current({"pass@2": results["pass@2"]})


def test_the_estimate_is_unbiased_and_its_interval_covers() -> None:
    """Problems with chances p are drawn anew; the truth is E[1 - (1 - p)^4] in closed form."""
    n, k, problems, trials = 8, 4, 50, 150
    a, b = 0.8, 1.6
    beta = math.gamma(a) * math.gamma(b) / math.gamma(a + b)
    truth = 1 - math.gamma(a) * math.gamma(b + k) / math.gamma(a + b + k) / beta
    rng = np.random.default_rng(0)
    metric, hits, values = PassAtK([k]), 0, []
    for _ in range(trials):
        right = rng.random((n, problems)) < rng.beta(a, b, problems)
        by_seed = {
            s: [Answer("", ("",), right=bool(r)) for r in row] for s, row in enumerate(right)
        }
        result = prompt_results([metric], prompt_scores([metric], by_seed))["pass@4"]
        assert result.value is not None
        assert result.ci_low is not None
        assert result.ci_high is not None
        values.append(result.value)
        hits += result.ci_low <= truth <= result.ci_high
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / math.sqrt(trials))
    assert abs(hits / trials - 0.945) < 3 * math.sqrt(0.945 * 0.055 / trials)


def test_a_result_has_an_interval_over_prompts_and_no_seeds() -> None:
    by_seed = {1: answers(RIGHT, "8", "8"), 2: answers("8", "8", RIGHT)}
    metric = MajorityOfK([1, 2])
    results = prompt_results([metric], prompt_scores([metric], by_seed))
    one = results["maj@1"]
    assert (one.value, one.n, one.per_seed, one.seed_sd) == (pytest.approx(1 / 3), 3, {}, None)
    assert one.ci_low == 0.0
    assert one.ci_high is not None
    assert 1 / 3 < one.ci_high < 1
    free = [Answer("text", ("text",))]
    without = prompt_results([metric], prompt_scores([metric], {1: free, 2: free}))["maj@2"]
    assert (without.value, without.n) == (None, 0)
    assert without.reason == "not a task whose answers are known to be right or wrong"

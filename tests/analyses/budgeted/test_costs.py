"""What a training costs, worked by hand."""

import pytest
from made_timings import step, training

from kdbench.analyses.budgeted.costs import (
    TrainedAmounts,
    amounts_of,
    pace_of,
    row_cost,
    row_costs,
)
from kdbench.store.runs import StoredRun
from kdbench.store.timings import Cost

PLAIN = TrainedAmounts(steps=10, generated=0, answered=0)


def test_without_generation_a_step_costs_what_it_took():
    found = row_cost(training([step(1.0), step(3.0)]), PLAIN, "seconds")
    assert found.by_step == {0: 1.0, 1: 3.0}
    assert found.step.value == pytest.approx(2.0)
    assert found.total == pytest.approx(20.0)
    assert row_cost(training([step(1.0), step(3.0)]), PLAIN, "processor").total == 10.0


def test_generated_tokens_count_as_the_whole_training_generated_them():
    # The first step generates 20 tokens in 2 of its 3 s, the second none in 1 s. A token takes
    # 0.1 s; the training generated 500 in 10 steps, so a step costs 1 s and 50 tokens, 6 s.
    timed = training([step(3.0, generating=2.0, generated=20), step(1.0)])
    found = row_cost(timed, TrainedAmounts(10, 500, 0), "seconds")
    assert pace_of(timed, "seconds") == pytest.approx(0.1)
    assert found.by_step == pytest.approx({0: 6.0, 1: 6.0})
    assert not found.borrowed


def test_each_step_has_its_own_pace():
    # 0.1 and 0.2 s a token, and 30 tokens a step: 1 + 3 and 1 + 6 s.
    steps = [step(2.0, generating=1.0, generated=10), step(3.0, generating=2.0, generated=10)]
    found = row_cost(training(steps), TrainedAmounts(10, 300, 0), "seconds")
    assert found.by_step == pytest.approx({0: 4.0, 1: 7.0})


def test_a_pace_is_that_of_the_warm_up_or_of_other_rows():
    amounts = TrainedAmounts(10, 100, 0)
    first = step(9.0, generating=2.0, generated=20)
    own = row_cost(training([step(1.0)], warm_up=first), amounts, "seconds", other_pace=5.0)
    assert own.by_step == pytest.approx({0: 2.0})  # 10 tokens at 0.1 s
    assert not own.borrowed
    silent = training([step(1.0)])
    other = row_cost(silent, amounts, "seconds", other_pace=0.3)
    assert other.by_step == pytest.approx({0: 4.0})
    assert other.borrowed
    assert row_cost(silent, amounts, "seconds") is None


def test_rows_that_generated_nothing_take_the_median_pace_of_the_others():
    def of(pace):
        return training([step(1.0 + 10 * pace, generating=10 * pace, generated=10)])

    timings = {"a": of(0.1), "b": of(0.2), "c": of(0.9), "silent": training([step(1.0)])}
    amounts = dict.fromkeys(timings, TrainedAmounts(10, 100, 0))
    costs = row_costs(timings, amounts, "seconds")
    assert costs["silent"].by_step == pytest.approx({0: 1.0 + 10 * 0.2})


def test_a_card_without_tokens_leaves_steps_as_they_are():
    timed = training([step(3.0, generating=2.0, generated=20), step(1.0)])
    assert row_cost(timed, TrainedAmounts(10, None, 0), "seconds").by_step == {0: 3.0, 1: 1.0}


def test_what_is_done_once_is_spread_over_the_steps():
    # 5 s for 50 tokens, of 400 in the whole training: 40 s; and 10 s of preparation: 5 s a step.
    once = {
        "teacher_responses": Cost(seconds=5.0, processor_seconds=1.0, tokens=50),
        "prepare": Cost(seconds=10.0, processor_seconds=2.0, tokens=7),
    }
    timed, amounts = training([step(1.0)], once=once), TrainedAmounts(10, 0, 400)
    assert row_cost(timed, amounts, "seconds").by_step == pytest.approx({0: 6.0})
    assert row_cost(timed, amounts, "processor").by_step == pytest.approx({0: 0.5 + 1.0})


def test_stages_count_by_their_share():
    found = row_cost(training([step(1.0)], [step(5.0), step(7.0)]), PLAIN, "seconds")
    assert found.by_step == pytest.approx({0: 3.0})  # the second steps have no partner


def run(**cost):
    return StoredRun("r", {"training": {"samples": 40, **cost}}, {})


def test_amounts_are_means_over_training_seeds():
    runs = [run(student_tokens=10, teacher_tokens=0), run(student_tokens=30, teacher_tokens=8)]
    assert amounts_of(runs, 4) == TrainedAmounts(10, 20, 4)
    unknown = [run(student_tokens=None, teacher_tokens=0), *runs]
    assert amounts_of(unknown, 4).generated is None
    assert amounts_of([*runs, run(samples=0)], 4) is None
    assert amounts_of([], 4) is None

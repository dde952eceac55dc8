"""Schedules: DistiLLM's threshold step by step, TAID's weight against a second implementation."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.training.schedule import (
    Constant,
    RisingInterpolation,
    RisingThreshold,
    Schedule,
    StepSignals,
    ValidationSignals,
)


def through_json(schedule, fresh):
    """A new schedule restored from a state that went through JSON, as in a checkpoint."""
    fresh.restore(json.loads(json.dumps(schedule.state(), allow_nan=False)))
    return fresh


def thresholds(schedule, losses):
    values = []
    for loss in losses:
        schedule.after_validation(ValidationSignals(loss))
        values.append(schedule.values(0.0)["threshold"])
    return values


def taid_weights(losses, start=0.4, total=None):
    """TAID's weights as in the paper; the first loss has no predecessor."""
    total = total or len(losses)
    t, m, before, weights = start, 0.0, None, []
    for step, loss in enumerate(losses, start=1):
        if before is not None:
            m = 0.99 * m + 0.01 * (before - loss) / (before + 1e-15)
            step_up = 5e-4 / (1 + math.exp(-m)) * (1 - t)
            t = min(1.0, max(start + (1 - start) * step / total, t + step_up))
        before = loss
        weights.append(t)
    return weights


def run_taid(schedule, losses, total, first=1):
    weights = []
    for step, loss in enumerate(losses, start=first):
        schedule.after_step(StepSignals(1, step / total, loss))
        weights.append(schedule.values(step / total)["teacher_weight"])
    return weights


@pytest.mark.parametrize("schedule", [Schedule(), Constant()])
def test_a_constant_schedule_has_no_values_and_no_state(schedule):
    schedule.after_step(StepSignals(1, 0.1, 1.0))
    schedule.after_validation(ValidationSignals(1.0))
    assert (dict(schedule.values(0.5)), schedule.state()) == ({}, {})


def test_the_threshold_stays_while_the_validation_loss_falls():
    schedule = RisingThreshold()
    assert dict(schedule.values(0.0)) == {"threshold": 0.0, "refresh": 0.0}
    assert thresholds(schedule, [3.0, 2.5, 2.0, 2.05]) == [0, 0, 0, 0]


def test_the_threshold_rises_and_the_loss_is_remembered_only_when_it_rose_enough():
    # The first loss is from before training. 2.09 is too small; 2.1 is enough and becomes the new
    # mark, which 2.15 and the fall to 1.0 do not move, so 2.2 is a rise again and 2.25 is not.
    losses = [2.0, 2.09, 2.1, 2.15, 1.0, 2.2000001, 2.25]
    marks = thresholds(RisingThreshold(), losses)
    assert marks == pytest.approx([0, 0, 0.1, 0.1, 0.1, 0.2, 0.2])


def test_a_fall_is_not_remembered():
    # Compared with 1.0, 1.5 would be a rise, but only 3.0 is remembered.
    assert thresholds(RisingThreshold(), [3.0, 1.0, 1.5, 3.05]) == [0, 0, 0, 0]


def test_the_threshold_never_passes_one():
    marks = thresholds(RisingThreshold(0.85), [float(loss) for loss in range(1, 6)])
    assert marks == pytest.approx([0.85, 0.95, 1, 1, 1])
    assert max(marks) <= 1


def test_tolerance_and_increment_can_be_set():
    schedule = RisingThreshold(0.2, tolerance=0.2, increment=0.25)
    assert thresholds(schedule, [1.0, 1.15, 1.2, 1.45]) == pytest.approx([0.2, 0.2, 0.45, 0.7])


def test_fresh_samples_become_rarer_during_training():
    schedule = RisingThreshold(0.4)
    refresh = [schedule.values(progress)["refresh"] for progress in (0.0, 0.25, 0.5, 1.0)]
    assert refresh == pytest.approx([0.4, 0.3, 0.2, 0.0])
    assert all(schedule.values(progress)["threshold"] == 0.4 for progress in (0.0, 0.5, 1.0))


def test_steps_do_not_move_the_threshold():
    schedule = RisingThreshold(0.3)
    schedule.after_validation(ValidationSignals(1.0))
    schedule.after_step(StepSignals(1, 0.5, 100.0))
    assert schedule.values(0.0)["threshold"] == 0.3


@pytest.mark.parametrize("cut", range(6))
def test_a_restored_threshold_schedule_continues_identically(cut):
    losses = [2.0, 2.2, 2.1, 2.4, 2.3, 2.6]
    whole = thresholds(RisingThreshold(), losses)
    first = RisingThreshold()
    before = thresholds(first, losses[:cut])
    after = thresholds(through_json(first, RisingThreshold()), losses[cut:])
    assert before + after == whole


@pytest.mark.parametrize("start", [0.2, 0.4, 0.9])
@pytest.mark.parametrize("total", [10, 400, 100_000])
def test_the_interpolation_equals_an_independent_implementation(start, total):
    losses = [3 * 0.95**step + 0.1 * math.sin(step) + 0.2 for step in range(min(total, 400))]
    expected = taid_weights(losses, start, total)
    assert run_taid(RisingInterpolation(start), losses, total) == pytest.approx(expected, abs=1e-12)


def test_the_interpolation_worked_out_by_hand():
    schedule = RisingInterpolation(0.4)
    assert schedule.values(0.0) == {"teacher_weight": 0.4}
    schedule.after_step(StepSignals(1, 0.0, 2.0))
    assert schedule.values(0.0) == {"teacher_weight": 0.4}
    schedule.after_step(StepSignals(1, 0.0, 1.0))
    # The loss halved: m = .01 * .5, and t rises by 5e-4 σ(.005) .6.
    faster = 0.4 + 5e-4 * 0.6 / (1 + math.exp(-0.005))
    assert schedule.values(0.0)["teacher_weight"] == pytest.approx(faster, abs=1e-15)
    schedule.after_step(StepSignals(1, 0.5, 1.0))
    assert schedule.values(0.0)["teacher_weight"] == pytest.approx(0.7)


def test_the_interpolation_is_at_least_linear_never_falls_and_ends_at_one():
    losses = [1.0 + (step % 7) / 7 for step in range(50)]
    weights = run_taid(RisingInterpolation(0.3), losses, 50)
    linear = [0.3 + 0.7 * step / 50 for step in range(1, 51)]
    assert all(a >= b - 1e-12 for a, b in zip(weights[1:], linear[1:], strict=True))
    assert weights == sorted(weights)
    assert weights[-1] == pytest.approx(1)
    assert max(weights) <= 1


def test_a_falling_loss_makes_it_rise_faster():
    many = 10**9  # so that the linear part does not show
    falling = run_taid(RisingInterpolation(), [0.9**step for step in range(200)], many)
    rising = run_taid(RisingInterpolation(), [1.1**step for step in range(200)], many)
    assert falling[-1] > rising[-1] > 0.4


# KL(p_t‖q) is exactly 0 while t is 0 (start=0) and where the student begins as the teacher.
@pytest.mark.parametrize("losses", [[0.0, 0.0, 0.01], [0.0, 1e-3], [1e-12, 0.5], [1.0, 1e6]])
def test_an_initial_loss_of_0_does_not_stop_the_schedule(losses):
    weights = run_taid(RisingInterpolation(0.0), losses, 10)
    assert all(0 <= weight <= 1 for weight in weights)
    assert weights[-1] == pytest.approx(len(losses) / 10, abs=1e-2)


@given(losses=st.lists(st.floats(0.01, 20), min_size=1, max_size=30), start=st.floats(0, 1))
@settings(deadline=None)
def test_the_weight_rises_within_its_bounds_for_any_losses(losses, start):
    weights = run_taid(RisingInterpolation(start), losses, 30)
    assert weights == sorted(weights)
    assert all(start <= weight <= 1 for weight in weights)
    assert weights == pytest.approx(taid_weights(losses, start, 30), abs=1e-12)


@pytest.mark.parametrize("cut", [0, 1, 2, 20, 39])
def test_a_restored_interpolation_continues_identically(cut):
    losses = [2 + math.cos(step) for step in range(40)]
    whole = run_taid(RisingInterpolation(), losses, 4000)
    first = RisingInterpolation()
    before = run_taid(first, losses[:cut], 4000)
    restored = through_json(first, RisingInterpolation())
    assert before + run_taid(restored, losses[cut:], 4000, first=cut + 1) == whole


def test_schedules_describe_themselves():
    assert str(Constant()) == "constant"
    assert str(RisingThreshold()) == "rising_threshold(tolerance=0.1, increment=0.1)"
    assert str(RisingInterpolation()) == "rising_interpolation(start=0.4)"

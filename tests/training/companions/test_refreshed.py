"""A teacher that follows the student until the validation loss rises."""

from dataclasses import replace

import pytest
import torch
from small_context import outcome, tiny_context

from kdbench.training.companions.refreshed import Refreshed


def set_all(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def started(companion):
    made = tiny_context()
    notes = []
    context = replace(made.context, note=lambda name, value: notes.append((name, value)))
    companion.start(context)
    return made.student, notes


def value_of(companion):
    return float(next(companion.model().parameters()).mean())


def test_it_follows_until_the_loss_rises_and_then_never_again():
    teacher = Refreshed("old", 0.0, every=2, validated=True)
    student, notes = started(teacher)
    seen = []
    for number, loss in enumerate((1.0, 0.8, 0.9, 0.7, 0.6, 0.5)):
        teacher.after_validation(loss, None)
        set_all(student, float(number))
        for step in (2 * number + 1, 2 * number + 2):
            teacher.after_step(outcome(step))
        seen.append(value_of(teacher))
    assert seen == [0, 1, 1, 1, 1, 1]
    assert [value for _, value in notes] == [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize(("rise", "ended"), [(0.0, True), (0.15, False), (None, False)])
def test_how_far_it_may_rise(rise, ended):
    teacher = Refreshed("old", rise=rise)
    for loss in (1.0, 0.8, 0.9):
        teacher.after_validation(loss, None)
    assert teacher.ended == ended


def test_a_resumed_one_has_ended_too():
    first, second = (Refreshed("old", 0.0, validated=True) for _ in range(2))
    student, _ = started(first)
    set_all(student, 3.0)
    first.after_step(outcome(1))
    for loss in (1.0, 2.0):
        first.after_validation(loss, None)
    later, _ = started(second)
    second.restore_state(first.state())
    assert (second.ended, second.lowest, value_of(second)) == (True, 1.0, 3.0)
    set_all(later, 5.0)
    second.after_step(outcome(2))
    assert value_of(second) == 3.0

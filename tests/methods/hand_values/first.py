"""FIRST; `seeds.md` 2.6 and, for the bucket, 5.1."""

import torch

from kdbench.training.calibration import calibrating_temperature
from tests.methods.hand_values import (
    STUDENT,
    TEACHER,
    HandValue,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def of(**options):
    return objective_of("first", **{"top_k": 3, "target_temperature": 1, **options})


def target():
    falling = TEACHER.sort(descending=True).values[:, :3]
    return of(target_temperature=2)._target(falling, chunk())[0].exp()


def moved_on_the_top():
    """The student's logits of the teacher's top 3 all higher: only the dropped tail changes."""
    student = STUDENT.clone()
    student[0, :3] += 5
    student[1, 1:] += 5
    return tokens(of(), chunk(student))


VALUES = [
    HandValue("temperature 1", (0.239401, 0.408944), lambda: tokens(of())),
    HandValue("mean", 0.324173, lambda: loss("first", {"top_k": 3, "target_temperature": 1})),
    HandValue("temperature 2", (0.116665, 0.137817), lambda: tokens(of(target_temperature=2))),
    HandValue("mean at 2", 0.127241, lambda: loss("first", {"top_k": 3, "target_temperature": 2})),
    HandValue("target at 2", (0.506480, 0.307196, 0.186324), target),
    HandValue("temperature .5", (0.620294, 0.825297), lambda: tokens(of(target_temperature=0.5))),
    HandValue(
        "smoothing",
        (0.138970, 0.255299),
        lambda: tokens(of(target_temperature="auto", smoothing=0.1)),
    ),
    HandValue(
        "mean with smoothing", 0.197134, lambda: loss("first", {"top_k": 3, "smoothing": 0.1})
    ),
    HandValue(
        "bucket of all but two", (0.241604, 0.481940), lambda: tokens(of(top_k=2, tail="bucket"))
    ),
    HandValue("no bucket left", (0.244744, 0.494684), lambda: tokens(of(top_k=4, tail="bucket"))),
    HandValue(
        "a student equal to its teacher, at 2",
        0.099702,
        lambda: loss("first", {"top_k": 3, "target_temperature": 2}, student=TEACHER),
    ),
    HandValue("the dropped tail costs nothing", (0.239401, 0.408944), moved_on_the_top),
    HandValue("nor has it a gradient", (0, 0), lambda: gradient(of())[[0, 1], [3, 0]]),
    # Not in the reference: 2 of 3 tokens are the first one, so that log 4 / T = log 2.
    HandValue(
        "calibrating temperature",
        2,
        lambda: calibrating_temperature(
            torch.tensor([[4.0, 1.0]] * 3).log(), torch.tensor([0, 1, 0])
        ),
    ),
]

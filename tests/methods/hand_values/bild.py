"""BiLD; `seeds.md` 2.4."""

import torch

from kdbench.methods.bild import knee
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
    return objective_of("bild", **{"tokens": 3, **options})


def led_by(leader):
    return of()._led(leader, TEACHER, STUDENT)


VALUES = [
    HandValue("led by the teacher", (0.037969, 0.073221), lambda: led_by(TEACHER)),
    HandValue("led by the student", (0.054410, 0.162854), lambda: led_by(STUDENT)),
    HandValue("each token", (0.092378, 0.236074), lambda: tokens(of())),
    HandValue("mean", 0.164226, lambda: loss("bild", {"tokens": 3})),
    HandValue("temperature 1", (0.645786, 1.107813), lambda: tokens(of(temperature=1))),
    HandValue("four tokens", (0.076653, 0.191144), lambda: tokens(of(tokens=4))),
    HandValue("reverse", (0.094170, 0.262437), lambda: tokens(of(direction="reverse"))),
    HandValue(
        "mean in reverse", 0.178304, lambda: loss("bild", {"tokens": 3, "direction": "reverse"})
    ),
    HandValue("other constants", (0.092378, 0.236074), lambda: tokens(of(), chunk(STUDENT + 5))),
    HandValue(
        "a student equal but for a constant", (0, 0), lambda: tokens(of(), chunk(TEACHER + 2))
    ),
    HandValue(
        "gradient of the first token",
        (-0.127269, 0.118557, 0.008712, 0),
        lambda: gradient(of())[0],
    ),
    HandValue("knee", [3], lambda: knee(torch.tensor([[10, 7, 2, 1, 0.5, 0]]))),
]

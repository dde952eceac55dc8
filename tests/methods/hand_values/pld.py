"""PLD; `seeds.md` 2.1."""

import torch

from kdbench.training.ranking import losses_of_places
from tests.methods.hand_values import (
    TEACHER,
    HandValue,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def of(**options):
    return objective_of("pld", **{"places": 4, **options})


def of_order(*order):
    logits = torch.tensor([[3.0, 1.0, 0.0]], dtype=torch.float64)
    return losses_of_places(logits, torch.tensor([order])).sum()


VALUES = [
    HandValue("each token", (0.870798, 0.702646), lambda: tokens(of())),
    HandValue("mean", 0.786722, lambda: loss("pld", {"places": 4})),
    HandValue("temperature 2", (0.698830, 0.699430), lambda: tokens(of(target_temperature=2))),
    HandValue("temperature 4", (0.595452, 0.682836), lambda: tokens(of(target_temperature=4))),
    HandValue("even weights", (0.488981, 0.654047), lambda: tokens(of(target_temperature=1e9))),
    HandValue("two places", (0.829485, 0.639549), lambda: tokens(of(places=2))),
    HandValue("mean of two places", 0.734517, lambda: loss("pld", {"places": 2})),
    HandValue(
        "gradient of the first token",
        (-0.445159, 0.265185, 0.079126, 0.100848),
        lambda: gradient(of())[0],
    ),
    HandValue("a student equal to its teacher", 0.407298, lambda: tokens(of(), chunk(TEACHER))[0]),
    HandValue(
        "mean of both tokens then", 0.387324, lambda: loss("pld", {"places": 4}, student=TEACHER)
    ),
    HandValue(
        "gradient then, which is not 0",
        (-0.229289, 0.073234, 0.090649, 0.065406),
        lambda: gradient(of(), TEACHER)[0],
    ),
    HandValue("an order", 0.483108, lambda: of_order(0, 1, 2)),
    HandValue("the reversed order", 5.296774, lambda: of_order(2, 1, 0)),
]

"""TRG; `seeds.md` 3.4: three tokens, and states of width 2 on both sides."""

import torch

from kdbench.training.relations import (
    cosine_relations,
    inner_relations,
    neighbour_relations,
    same_token_loss,
)
from tests.methods.hand_values import HandValue

TEACHER = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.float64)
STUDENT = torch.tensor([[1, 0], [0.5, 0.5], [0, 1]], dtype=torch.float64)
# A rotation by 1 radian, times 3, with a third number that is 0.
TURNED = (
    3
    * TEACHER
    @ torch.tensor([[0.5403023, 0.8414710, 0], [-0.8414710, 0.5403023, 0]], dtype=torch.float64)
)


def cosine(temperature, student=STUDENT):
    return cosine_relations(student, TEACHER, temperature, "forward")


def nearest(direction, student=STUDENT):
    return neighbour_relations(student, TEACHER, 1, 1.0, direction)


VALUES = [
    HandValue("cosine", (0.240079, 0.058800, 0.061240), lambda: cosine(1.0)),
    HandValue("cosine, mean", 0.120040, lambda: cosine(1.0).mean()),
    HandValue("cosine, temperature 0.1", (7.059067, 0.686298, 2.843236), lambda: cosine(0.1)),
    HandValue("turned and longer", (0.0, 0.0, 0.0), lambda: cosine(1.0, TURNED)),
    HandValue("nearest, KL(S‖T)", (0.174810,) * 3, lambda: nearest("reverse")),
    HandValue("nearest, KL(T‖S)", (0.173127,) * 3, lambda: nearest("forward")),
    HandValue("inner", 0.009397, lambda: inner_relations(STUDENT, TEACHER).mean()),
    HandValue("global", 0.998700, lambda: same_token_loss(STUDENT, TEACHER, 1.0).mean()),
    HandValue(
        "global, temperature 0.1", 2.021223, lambda: same_token_loss(STUDENT, TEACHER, 0.1).mean()
    ),
    HandValue(
        "a token alone", (0.0,), lambda: cosine_relations(STUDENT[:1], TEACHER[:1], 1.0, "forward")
    ),
]

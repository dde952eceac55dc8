"""ULD; `seeds.md` 8.4."""

import torch

from kdbench.training.unmatched import sorted_distance
from tests.methods.hand_values import STUDENT, TEACHER, HandValue, loss

THREE, FOUR = (0.7, 0.2, 0.1), (0.5, 0.3, 0.1, 0.1)


def distance(p, q):
    """The distance of two distributions."""
    p, q = (torch.tensor([side], dtype=torch.float64).log() for side in (p, q))
    return float(sorted_distance(p, q))


def gradient():
    """The gradient of the distance by the student's logits of the first token."""
    logits = STUDENT[:1].clone().requires_grad_()
    sorted_distance(TEACHER[:1].log_softmax(-1), logits.log_softmax(-1)).sum().backward()
    return logits.grad[0]


P, Q = TEACHER.log_softmax(-1), STUDENT.log_softmax(-1)

VALUES = [
    HandValue("each token", (0.270015, 0.813897), lambda: sorted_distance(P, Q)),
    HandValue("mean", 0.541956, lambda: loss("uld", {"kd_ratio": 1})),
    # Half of the cross-entropy 1.068666 and half of the distance.
    HandValue("with cross-entropy", 0.805311, lambda: loss("uld", {})),
    HandValue(
        "groups of one token", 0.541956, lambda: loss("uld", {"kd_ratio": 1, "matching": "text"})
    ),
    # Signs of q - p in descending order are (-, +, +, +): twice q_first (q - 1[first]).
    HandValue("gradient", (0.314166, -0.499841, 0.115575, 0.070100), gradient),
    HandValue("blind to a permutation", (0.0, 0.0), lambda: sorted_distance(P, P.flip(-1))),
    HandValue("the shorter side has zeros", 0.4, lambda: distance(THREE, FOUR)),
    HandValue("zeros on the other side", 0.4, lambda: distance(FOUR, THREE)),
]

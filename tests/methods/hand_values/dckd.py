"""DCKD; `seeds.md` 6.1. The first token of E2 is the chosen response, the second the rejected."""

import torch

from kdbench.methods import methods
from kdbench.training import Batch, Rollout
from kdbench.training.loss import distillation_loss
from tests.methods.hand_values import RESPONSE, STUDENT, TEACHER, Given, HandValue


def pair_loss(name, student=STUDENT, **options):
    """The loss of E2 as a pair, through the trainer's own code."""
    triple = methods.get(name)(**options).triple()
    origins = ("chosen", "rejected")
    batch = Batch(
        [
            Rollout(origin, (0,), (token,), origin, group="pair")
            for origin, token in zip(origins, RESPONSE, strict=True)
        ]
    )
    views = {"student": Given(student), "teacher": Given(TEACHER)}
    schedule = triple.schedule.values(0.0)
    return distillation_loss(triple.terms, batch, views, schedule=schedule).value


def gradient(name, **options):
    """The gradient of the loss by the student's logits, (2, V)."""
    leaf = STUDENT.clone().requires_grad_()
    (found,) = torch.autograd.grad(pair_loss(name, leaf, **options), leaf)
    return found


# By numpy: q - p, to which .2 (q - y) is added on the chosen token.
VALUES = [
    HandValue("divergences", 0.739428, lambda: pair_loss("dckd", ce_weight=0)),
    HandValue("with .2 cross-entropy", 0.974526, lambda: pair_loss("dckd")),
    HandValue(
        "gradient on chosen",
        (-0.473513, 0.373805, 0.049119, 0.050589),
        lambda: gradient("dckd")[0],
    ),
    HandValue(
        "gradient on rejected",
        (0.150500, 0.050337, -0.476227, 0.275390),
        lambda: gradient("dckd")[1],
    ),
    HandValue("student = teacher", 0, lambda: pair_loss("dckd", TEACHER, ce_weight=0)),
]

"""Logit standardisation; `seeds.md` 2.2. The biased std would give .206922 and .472048."""

import torch

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
    return objective_of("logit_std", 1, **options)


def slope_along_the_logits():
    return (gradient(of()) * STUDENT).sum(-1)


def first_choice(width):
    """p' of the first of four tokens, beside others as in a tail, at T = 2.

    The others are the quantiles of N(-5, 1), and the expected numbers by numpy; the reference,
    which drew the tail, has .368 and .108.
    """
    places = (torch.arange(width - 4, dtype=torch.float64) + 0.5) / (width - 4)
    tail = -5 + 2**0.5 * torch.erfinv(2 * places - 1)
    logits = torch.cat([torch.tensor([10.0, 9, 5, 2], dtype=torch.float64), tail])[None]
    return teacher_target(logits)


def teacher_target(logits):
    from kdbench.training.target import standardised, tempered

    return tempered(standardised(logits), 2.0).exp()[0, 0]


VALUES = [
    HandValue("temperature 1", (0.173043, 0.334129), lambda: tokens(of(temperature=1))),
    HandValue("each token", (0.150608, 0.354592), lambda: tokens(of())),
    HandValue("mean", 0.252600, lambda: loss("logit_std", {"ce_weight": 0, "kd_weight": 1})),
    HandValue("with its weights", 9 * 0.2526 + 0.1068666, lambda: loss("logit_std", {}), 5e-6),
    HandValue("temperature 4", (0.133406, 0.350334), lambda: tokens(of(temperature=4))),
    HandValue("over the top 3", (0.273248, 0.324702), lambda: tokens(of(over=3))),
    HandValue(
        "a student of another scale",
        (0, 0),
        lambda: tokens(of(), chunk(3 * TEACHER - 5)),
    ),
    HandValue("a student turned round", 1.439699, lambda: tokens(of(), chunk(-TEACHER))[0]),
    HandValue("the gradient sums to 0", (0, 0), lambda: gradient(of()).sum(-1)),
    HandValue("the gradient is orthogonal to the logits", (0, 0), slope_along_the_logits),
    HandValue("p' of the head alone", 0.367521, lambda: first_choice(4)),
    HandValue("p' of the head in V = 10,000", 0.106950, lambda: first_choice(10_000)),
]

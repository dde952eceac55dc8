"""Dual-Head KD; `seeds.md` 3.2. The loss of kdbench is B times 100/V, here 25."""

import torch

from kdbench.methods.dual_head import binary_loss
from tests.methods.hand_values import STUDENT, TEACHER, HandValue, gradient, loss, objective_of


def b(student=STUDENT, temperature=2.0, centre=False):
    return binary_loss(student, TEACHER, temperature, centre)


def on_one_head(**options):
    return objective_of("dual_head", 1, heads=1, **options)


VALUES = [
    HandValue("each token", (0.186057, 0.547794), b),
    HandValue("mean", 0.366925, lambda: b().mean()),
    HandValue("logits + 1", (0.673510, 0.607147), lambda: b(STUDENT + 1)),
    HandValue("centred", (0.186057, 0.457747), lambda: b(centre=True)),
    HandValue("centred, by V", (0.046514, 0.114437), lambda: b(centre=True) / 4),
    HandValue("centred, logits + 1", (0.186057, 0.457747), lambda: b(STUDENT + 1, centre=True)),
    HandValue("temperature 10^4", (0.187500, 0.567500), lambda: b(temperature=1e4)),
    HandValue("equal logits", (0.0, 0.0), lambda: b(TEACHER)),
    # log cosh x = |x| - log 2 far from 0: 4 (10^4 - 4 log 2) for four differences of 10^4 at τ = 2.
    HandValue("differences of 10^4", 4 * (1e4 - 4 * 0.6931471806), lambda: b(TEACHER + 1e4)[0]),
    HandValue(
        "gradient of the first token",
        (-0.244919, 0.124353, 0.0, 0.124353),
        lambda: gradient(on_one_head(centre=False))[0] / 25,
    ),
    HandValue(
        "with cross-entropy",
        1.435591,
        lambda: loss("dual_head", {"heads": 1, "centre": False, "matching_weight": 0.04}),
    ),
    # By numpy: cosine of (q - y) and tanh((u - z)/(2τ)) of the first token.
    HandValue(
        "cosine of the gradients",
        0.920792,
        lambda: on_one_head(centre=False).diagnostics(_chunk())["dual_head/cosine"][0],
    ),
]


def _chunk():
    from kdbench.training import Chunk

    return Chunk(STUDENT, {"teacher": TEACHER}, torch.tensor((0, 3)))

"""Talking models; `seeds.md` 3.7: a message of one number, and the degenerate solution."""

import torch

from kdbench.methods.talking import Exchange
from kdbench.training import Chunk
from tests.methods.hand_values import HandValue

HALF, OUT, BACK = [[0.5, 0.5]], [[1.0], [0.5]], [[0.6], [1.2]]


def linear(weight):
    layer = torch.nn.Linear(len(weight[0]), len(weight), bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(weight, dtype=torch.float64)
    return layer


def losses(student=(1.5, 0.75), scale=1.0, maps=(HALF, OUT, HALF, BACK), weights=None):
    """Interaction, message and state consistency at h_T = (1, 2); their sum with weights."""
    names = ("teacher_encoder", "student_decoder", "student_encoder", "teacher_decoder")
    parts = {name: linear(weight) for name, weight in zip(names, maps, strict=True)}
    for part in parts.values():
        part.weight.data *= scale
    given = {"student": student, "teacher": (1, 2)}
    hidden = {(view, -1): torch.tensor([h], dtype=torch.float64) for view, h in given.items()}
    chunk = Chunk(None, {}, torch.tensor([0]), hidden=hidden, parts=parts)
    if weights is not None:
        return Exchange(*weights).token(chunk)[0]
    return torch.cat(Exchange().losses(chunk))


def inverse():
    """E_T = (½, ¼), D_S = (1, 1), E_S = (½, ½), D_T = (1, 2) are inverses on the data."""
    maps = ([[0.5, 0.25]], [[1.0], [1.0]], HALF, [[1.0], [2.0]])
    return losses((1.0, 1.0), maps=maps)


VALUES = [
    HandValue("at the decoded message", (0.0, 0.140625, 0.025), losses),
    # ((1 - 1.5)² + (1 - .75)²)/2
    HandValue("interaction", (0.15625, 0.140625, 0.025), lambda: losses((1.0, 1.0))),
    HandValue("weighed", 0.91625, lambda: losses((1.0, 1.0), weights=(4.0, 2.0, 0.4))),
    HandValue("inverse maps", (0.0, 0.0, 0.0), inverse),
    # All maps 0: ‖h_S‖²/2, 0 and ‖h_T‖²/2 = 2.5. Without the last, shrinking h_S would be free.
    HandValue("maps of 0", (1.40625, 0.0, 2.5), lambda: losses(scale=0.0)),
    HandValue("maps and state of 0", (0.0, 0.0, 2.5), lambda: losses((0.0, 0.0), scale=0.0)),
]

"""LELP; `seeds.md` 3.5."""

import torch

from kdbench.methods.lelp import Subclasses, directions, subclass_targets
from kdbench.training import Chunk
from tests.methods.hand_values import HandValue

LOG_P = torch.tensor([[0.7, 0.3]], dtype=torch.float64).log()
PROJECTIONS = torch.tensor([[[0.5, -0.5], [1, 0]]], dtype=torch.float64)
STUDENT = torch.tensor([[1, 0, 0.5, -0.5]], dtype=torch.float64)


def loss(sharpness=2.0, student=STUDENT, factor=1.0):
    """The loss of a label word by a head that gives the student's outputs as they are."""
    prepared = {"log_p": LOG_P, "projections": PROJECTIONS}
    objective = Subclasses(sharpness=sharpness, prepared=prepared)
    plan = {"row": torch.tensor([0]), "at_label": torch.tensor([factor])}
    hidden, parts = {("student", -1): student}, {"subclass_head": torch.nn.Identity()}
    return objective.token(Chunk(None, {}, torch.tensor([0]), plan, {}, hidden, parts))


def gradient():
    leaf = STUDENT.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(student=leaf).sum(), leaf)
    return found[0]


def targets(sharpness):
    return subclass_targets(LOG_P, PROJECTIONS, sharpness)[0]


def entropy():
    return -(targets(2.0) * targets(2.0).log()).sum()


def beyond_the_head():
    """How far embeddings are along the only direction that two rows of a head do not show."""
    states = torch.tensor([[3, 1, 1], [0, 2, -1], [5, 0, 0.5], [-8, -3, -0.5]]).double()
    head = torch.tensor([[1, 0, 0], [0, 1, 0]]).double()
    return (states @ directions(states, head, 1, torch.Generator().manual_seed(0))).abs()[:, 0]


VALUES = [
    HandValue("targets", (0.616558, 0.083442, 0.264239, 0.035761), lambda: targets(2.0)),
    HandValue("targets of sharpness 0", (0.35, 0.35, 0.15, 0.15), lambda: targets(0.0)),
    HandValue("loss", 1.056542, lambda: loss().squeeze()),
    HandValue("loss without the entropy, KL(P‖q')", 0.080343, lambda: loss().squeeze() - entropy()),
    HandValue("no loss elsewhere than at the label", 0.0, lambda: loss(factor=0.0).squeeze()),
    # softmax(1, 0, .5, -.5) - P
    HandValue("gradient", (-0.161504, 0.083963, 0.011765, 0.065775), gradient),
    HandValue("null space of two rows", (1, 1, 0.5, 0.5), beyond_the_head),
]

"""GOLD; `seeds.md` 8.4."""

import math

import torch

from kdbench.methods.gold import Hybrid
from kdbench.training.grouped import Sides
from kdbench.training.unmatched import Matched, Side
from tests.methods.hand_values import HandValue, loss

P, Q = (0.6, 0.3, 0.1), (0.5, 0.2, 0.3)
SIDE = Side(torch.tensor([0, 1]), torch.tensor([2]))


def group(log_p_others=0.0, log_q_others=0.0, student=SIDE, teacher=SIDE, q=Q, **options):
    """The loss of one group over three tokens a side, of which two match."""
    objective = Hybrid(**options)
    objective.matched = Matched(student, teacher)
    log_p, log_q = (torch.tensor([side], dtype=torch.float64).log() for side in (P, q))
    others = (torch.tensor([one], dtype=torch.float64) for one in (log_p_others, log_q_others))
    return float(objective.group(Sides(log_p, log_q, *others)))


def equal(**options):
    """The mean loss of E2, whose tokenizers are equal."""
    return loss("gold", options)


def slope(**options):
    """The derivative of a group's loss by the log-probability of the student's other token."""
    objective = Hybrid(**options)
    objective.matched = Matched(SIDE, SIDE)
    log_p, log_q = (torch.tensor([side], dtype=torch.float64).log() for side in (P, Q))
    others = torch.tensor([0.8], dtype=torch.float64).log().requires_grad_()
    teacher = torch.tensor([0.5], dtype=torch.float64).log()
    objective.group(Sides(log_p, log_q, teacher, others)).sum().backward()
    return float(others.grad)


def gradient():
    """The gradient of the loss by the student's three logits."""
    objective = Hybrid()
    objective.matched = Matched(SIDE, SIDE)
    logits = torch.tensor([Q], dtype=torch.float64).log().requires_grad_()
    log_p, zero = torch.tensor([P], dtype=torch.float64).log(), torch.zeros(1, dtype=torch.float64)
    objective.group(Sides(log_p, logits.log_softmax(-1), zero, zero)).sum().backward()
    return logits.grad[0]


HALF, MOST = math.log(0.5), math.log(0.8)
# Beside the values of the reference, those of groups, limits and gradients are from numpy, the
# gradients by central differences.
VALUES = [
    HandValue("matched tokens", 0.007310, lambda: group(matched_weight=1)),
    HandValue("the others", 0.2, lambda: group(matched_weight=0)),
    HandValue("weighted by the share of matched tokens", 0.071540, group),
    HandValue("weight .25", 0.151827, lambda: group(matched_weight=0.25)),
    HandValue("teacher's weight .9", 0.068348, lambda: group(teacher_weight=0.9)),
    HandValue("one rest", 0.033472, lambda: group(others="bucket")),
    HandValue("groups of two tokens on both sides", 0.065776, lambda: group(HALF, MOST)),
    HandValue("a group of two tokens of the teacher", 0.092950, lambda: group(HALF)),
    HandValue("its limit KL is no divergence", -0.047600, lambda: group(HALF, teacher_weight=0)),
    HandValue("one rest of groups", 0.006726, lambda: group(HALF, MOST, others="bucket")),
    HandValue(
        "one rest of a teacher's group",
        0.011799,
        lambda: group(HALF, others="bucket", teacher_weight=0.9),
    ),
    HandValue("gradient of the logits", (-0.050504, -0.028724, 0.079228), gradient),
    HandValue("gradient of the other token", 0.099497, slope),
    HandValue("its gradient with one rest", 0.062225, lambda: slope(others="bucket")),
    # Equal tokenizers: JSD over all tokens, with its limits KL(p‖q) and KL(q‖p).
    HandValue("equal tokenizers", 0.092312, equal),
    HandValue("equal tokenizers, w .9", 0.035320, lambda: equal(teacher_weight=0.9)),
    HandValue("equal tokenizers, forward KL", 0.369714, lambda: equal(teacher_weight=0)),
    HandValue("equal tokenizers, reverse KL", 0.403926, lambda: equal(teacher_weight=1)),
    HandValue("equal tokenizers, last tokens", 0.092312, lambda: equal(place="last")),
]

"""GOLD; `seeds.md` 8.4."""

import math

import torch

from kdbench.methods.gold import Hybrid
from kdbench.training.grouped import Sides
from kdbench.training.unmatched import Matched, Side
from tests.methods.hand_values import HandValue, loss

P, Q = (0.6, 0.3, 0.1), (0.5, 0.2, 0.3)
SIDE = Side(torch.tensor([0, 1]), torch.tensor([2]))


def loss_of(of_others, text=None, q=None, **options):
    """The loss of one group over three tokens a side, of which two match.

    Args:
        of_others: Log-probabilities of the other tokens, the teacher's and the student's.
        text: Those of the whole text; None for a group of one token on each side.
        q: The student's logits; None for those of Q.
        options: Keys of the objective.
    """
    objective = Hybrid(**options)
    objective.matched = Matched(SIDE, SIDE)
    log_p, log_q = (torch.tensor([side], dtype=torch.float64).log() for side in (P, Q))
    log_q = log_q if q is None else q.log_softmax(-1)
    single = torch.tensor([text is None])
    of_others, text = (
        [torch.as_tensor(value, dtype=torch.float64).reshape(1) for value in pair]
        for pair in (of_others, text or (-1.0, -1.0))
    )
    sides = Sides(log_p, log_q, *of_others, single, *text)
    return objective.group(sides)[0]


def group(log_p_others=0.0, log_q_others=0.0, **options):
    """The loss of a group of which both sides have the same token."""
    return loss_of((log_p_others, log_q_others), **options)


def text(p, q, **options):
    """The loss of a group of several tokens with one rest."""
    return loss_of((0.0, 0.0), (math.log(p), math.log(q)), others="bucket", **options)


def equal(**options):
    """The mean loss of E2, whose tokenizers are equal."""
    return loss("gold", options)


def slope():
    """The derivative of a group's loss by the log-probability of the student's other token."""
    other = torch.tensor(0.8, dtype=torch.float64).log().requires_grad_()
    loss_of((math.log(0.5), other)).backward()
    return float(other.grad)


def slope_of_text():
    """The same by that of its text, with one rest."""
    log_q = torch.tensor(0.4, dtype=torch.float64).log().requires_grad_()
    loss_of((0.0, 0.0), (math.log(0.3), log_q), others="bucket").backward()
    return float(log_q.grad)


def gradient():
    """The gradient of the loss by the student's three logits."""
    logits = torch.tensor([Q], dtype=torch.float64).log().requires_grad_()
    loss_of((0.0, 0.0), q=logits).backward()
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
    HandValue("gradient of the logits", (-0.050504, -0.028724, 0.079228), gradient),
    HandValue("gradient of the other token", 0.099497, slope),
    HandValue("a group's text or another", 0.005509, lambda: text(0.3, 0.4)),
    HandValue("a group's text, w .9", 0.002022, lambda: text(0.3, 0.4, teacher_weight=0.9)),
    HandValue("its gradient", 0.042715, slope_of_text),
    # Equal tokenizers: JSD over all tokens, with its limits KL(p‖q) and KL(q‖p).
    HandValue("equal tokenizers", 0.092312, equal),
    HandValue("equal tokenizers, w .9", 0.035320, lambda: equal(teacher_weight=0.9)),
    HandValue("equal tokenizers, forward KL", 0.369714, lambda: equal(teacher_weight=0)),
    HandValue("equal tokenizers, reverse KL", 0.403926, lambda: equal(teacher_weight=1)),
    HandValue("equal tokenizers, last tokens", 0.092312, lambda: equal(place="last")),
]

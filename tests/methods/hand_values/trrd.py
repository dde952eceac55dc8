"""TRRD; `seeds.md` 6.2. q = .3, q_old = .2 and p = .6 at the sampled token."""

import math

import torch

from kdbench.methods.trrd import RatioToMixture
from kdbench.training import Batch, Chunk, Rollout, Term
from kdbench.training.loss import distillation_loss
from kdbench.training.sources.groups import group_advantages
from tests.methods.hand_values import Given, HandValue

Q, OLD, P = 0.3, 0.2, 0.6


def logits(probability):
    """Logits of two tokens, of which the first has a probability."""
    return torch.tensor([[probability, 1 - probability]], dtype=torch.float64).log()


def values(advantage, share, q=Q):
    """The loss and its gradient by log q of the token (by the logit: divided by 1-q)."""
    leaf = logits(q).requires_grad_()
    plan = {
        "advantage": torch.tensor([advantage], dtype=torch.float64),
        "log_sampled": torch.tensor([math.log(OLD)], dtype=torch.float64),
    }
    chunk = Chunk(leaf, {"teacher": logits(P)}, torch.tensor([0]), plan=plan)
    loss = RatioToMixture(0.2, share).token(chunk)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return [float(loss.detach()), float(gradient[0, 0]) / (1 - q)]


def without_teacher():
    """The mean over two responses of a token, one right and one wrong: (-1.2 + 1.5) / 2."""
    rows = [
        Rollout(f"row {advantage}", (0,), (0,), "student").with_recorded(
            advantage=[advantage], log_sampled=[math.log(OLD)]
        )
        for advantage in (1.0, -1.0)
    ]
    views = {"student": Given(torch.cat([logits(Q), logits(Q)]))}
    term = Term(RatioToMixture(0.2, 1.0), per="sequence")
    return distillation_loss([term], Batch(rows), views).value


# Slopes by hand: -A ρ where the ratio decides, 0 where the clip does.
RATIO = math.sqrt(0.75)  # .3 / (.2 · .6)^.5, .866025
VALUES = [
    HandValue("α 1, A 1", (-1.2, 0), lambda: values(1, 1)),
    HandValue("α 1, A -1", (1.5, 1.5), lambda: values(-1, 1)),
    HandValue("α .5, A 1", (-0.866025, -RATIO), lambda: values(1, 0.5)),
    HandValue("α .5, A -1", (0.866025, RATIO), lambda: values(-1, 0.5)),
    HandValue("α 0, A 1", (-0.5, -0.5), lambda: values(1, 0)),
    HandValue("α 0, A -1", (0.8, 0), lambda: values(-1, 0)),
    # At q = q_old and α = .5, ρ = .577350: the right token learns, the wrong one does not.
    HandValue("q = q_old, A 1", (-0.577350, -0.577350), lambda: values(1, 0.5, OLD)),
    HandValue("q = q_old, A -1", (0.8, 0), lambda: values(-1, 0.5, OLD)),
    HandValue("two responses at α 1", 0.15, without_teacher),
    # The reference adds 1e-6 to the deviation; here equal rewards are 0 by themselves.
    HandValue("population deviation", (1, -1, -1, 1), lambda: group_advantages([1, 0, 0, 1])),
    HandValue(
        "sample deviation",
        (0.866025, -0.866025, -0.866025, 0.866025),
        lambda: group_advantages([1, 0, 0, 1], deviation="sample"),
    ),
    HandValue("equal rewards", (0, 0, 0), lambda: group_advantages([1, 1, 1], deviation="sample")),
]

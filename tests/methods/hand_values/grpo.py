"""GRPO; `seeds.md` 6.2 at α = 1: q = .3 and q_old = .2 at the sampled token."""

import math

from kdbench.training import Batch, Rollout, Term
from kdbench.training.loss import distillation_loss
from tests.methods.hand_values import Given, HandValue, objective_of
from tests.methods.hand_values.trrd import OLD, Q, logits


def loss(advantage, **options):
    """The loss of a token, for which there is no teacher."""
    row = Rollout("row", (0,), (0,), "student").with_recorded(
        advantage=[advantage], log_sampled=[math.log(OLD)]
    )
    term = Term(objective_of("grpo", **options), per="sequence")
    return distillation_loss([term], Batch([row]), {"student": Given(logits(Q))}).value


VALUES = [
    HandValue("A 1", -1.2, lambda: loss(1.0)),
    HandValue("A -1", 1.5, lambda: loss(-1.0)),
    HandValue("A 1, clip .6", -1.5, lambda: loss(1.0, clip=0.6)),  # nothing is clipped
]

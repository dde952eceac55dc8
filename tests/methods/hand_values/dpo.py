"""DPO; `seeds.md` 8.6, whose value is that of DPKD: the same loss with another reference."""

import math

import torch

from kdbench.methods import methods
from kdbench.training import Batch, Responses, Rollout
from tests.methods.hand_values import HandValue

# Log q is -2 and -3, that of the reference -2.5 and -2.8: the margin is 0.7.
CHOSEN, REJECTED = [-1.5, -0.5], [-3.0]
REFERENCE = [-1.0, -1.5, -2.8]


def pair_loss(name, log_q, options=None):
    """The loss of a pair of two tokens and one, by the log-probabilities of its tokens."""
    objective = methods.get(name)(**(options or {})).triple().terms[0].objective
    batch = Batch(
        [
            Rollout("a", (1,), (5, 6), "chosen", group="pair"),
            Rollout("a", (1,), (7,), "rejected", group="pair"),
        ]
    )
    reference = torch.tensor(REFERENCE, dtype=torch.float64)
    return objective.sequence(Responses(batch, log_q, lambda kind, view: reference, {}, {})).sum()


def values_of(name, options=None):
    """The loss, and its gradient by the log-probability of each token."""
    leaf = torch.tensor(CHOSEN + REJECTED, dtype=torch.float64, requires_grad=True)
    value = pair_loss(name, leaf, options)
    (slopes,) = torch.autograd.grad(value, leaf)
    return torch.cat([value.detach()[None], slopes])


def at_reference(name):
    """The loss where student and reference agree."""
    return pair_loss(name, torch.tensor(REFERENCE, dtype=torch.float64))


# The gradient is ∓β σ(-β margin), equal at each token of a response: .1 / (1 + e^.07).
SLOPE = 0.0482507
# For other β by hand: ln(1 + e^(-.35)) and .5 / (1 + e^.35).
VALUES = [
    HandValue("margin .7", (0.658760, -SLOPE, -SLOPE, SLOPE), lambda: values_of("dpo")),
    HandValue(
        "margin .7, β .5",
        (0.533382, -0.206691, -0.206691, 0.206691),
        lambda: values_of("dpo", {"beta": 0.5}),
    ),
    HandValue("student = reference", math.log(2), lambda: at_reference("dpo")),
]

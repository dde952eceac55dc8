"""MiniLLM; by numpy, and by hand where a probability is named."""

import math

import torch

from kdbench.methods import methods
from kdbench.methods.minillm import PolicyGradient
from tests.methods.hand_values import HandValue, chunk, gradient, objective_of, tokens


def planned(advantage, log_sampled):
    values = {"advantage": advantage, "log_sampled": log_sampled}
    return {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}


E2_PLAN = planned([0.5, -0.5], [-1.0, -1.0])


def of_two_tokens(q, sampled, advantage):
    """Loss, and its slope in the first logit, where the student has q for the sampled token."""
    student = torch.tensor([[math.log(q / (1 - q)), 0.0]], dtype=torch.float64)
    given = {"targets": (0,), "plan": planned([advantage], [math.log(sampled)])}
    objective = PolicyGradient(0.2)
    value = objective.token(chunk(student, **given))
    return [float(value), float(gradient(objective, student, **given)[0, 0])]


# q now, q at sampling, advantage: loss and slope. The ratio's slope is ratio (1 - q).
SLOPES = {
    (0.55, 0.5, 1.5): (-1.65, -1.5 * 1.1 * 0.45),
    (0.7, 0.5, 1.5): (-1.8, 0.0),
    (0.7, 0.5, -1.5): (2.1, 1.5 * 1.4 * 0.3),
    (0.25, 0.5, 1.5): (-0.75, -1.5 * 0.5 * 0.75),
    (0.25, 0.5, -1.5): (1.2, 0.0),
    # The teacher has .9 and a share of .2 of the samples: 1.24 times .5 is not clipped.
    (0.62, 0.58, 1.0): (-0.62 / 0.58, -0.62 / 0.58 * 0.38),
}


def advantages():
    (found,) = methods.get("minillm")().advantages([[-1.0, -2.0, -0.5]], [[-1.5, -0.5, -1.0]])
    return found


VALUES = [
    HandValue(
        "policy gradient",
        (-0.419523, 0.519448),
        lambda: tokens(objective_of("minillm"), chunk(plan=E2_PLAN)),
    ),
    HandValue(
        "single step, KL(q‖p)", (0.244922, 0.562931), lambda: tokens(objective_of("minillm", 1))
    ),
    # Rewards (-1, 3, -1), discounted by .95 and over the tokens left: (.315833, 1.025, -1).
    HandValue("advantages", (0.241034, 1.086308, -1.327342), advantages, 2e-6),
    *(
        HandValue(
            f"two tokens, q, sampled and advantage {given}",
            expected,
            lambda g=given: of_two_tokens(*g),
        )
        for given, expected in SLOPES.items()
    ),
]

"""SDFT; `seeds.md` 4.2, with E2's teacher as the view that sees the demonstration."""

import math

import torch

from tests.methods.hand_values import (
    RESPONSE,
    STUDENT,
    TEACHER,
    HandValue,
    chunk,
    objective_of,
    tokens,
)

LOG_Q = STUDENT.log_softmax(-1)[range(2), RESPONSE]


def each(before=0.0, **options):
    """The loss of each token, whose log-probability was lower by `before` at sampling."""
    recorded = {"log_sampled": LOG_Q - before}
    return tokens(objective_of("sdft", **options), chunk(plan=recorded, informed=TEACHER))


def ratio(before):
    return each(before)[0] / each()[0]


def same_view():
    plan = {"log_sampled": torch.zeros(2)}
    return tokens(objective_of("sdft"), chunk(TEACHER, plan=plan, informed=TEACHER))


VALUES = [
    HandValue("top 2 renormalised", (0.064713, 0.110580), lambda: each(top_k=2)),
    HandValue("top 2 and the tail", (0.058862, 0.120080), lambda: each(top_k=2, tail=True)),
    HandValue("all tokens", (0.059831, 0.124793), each),
    HandValue("all tokens and no tail", (0.059831, 0.124793), lambda: each(top_k=4, tail=True)),
    HandValue("ratio exp(.5)", 1.648721, lambda: ratio(0.5)),
    HandValue("ratio exp(1), clipped", 2, lambda: ratio(1.0)),
    # Not in the reference: exp(-1), which is not clipped, and a ratio beyond any float.
    HandValue("ratio exp(-1)", math.exp(-1), lambda: ratio(-1.0)),
    HandValue("ratio exp(10000), clipped", 2, lambda: ratio(1e4)),
    HandValue(
        "the tail never exceeds the whole",
        0,
        lambda: (each(top_k=2, tail=True) - each()).clamp(min=0).sum(),
    ),
    HandValue("the same view has no loss", (0, 0), same_view),
]

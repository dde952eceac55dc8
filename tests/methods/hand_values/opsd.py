"""OPSD; `seeds.md` 4.1, with E2's teacher as the informed view."""

import torch

from kdbench.training.informed import jsd_entries
from tests.methods.hand_values import (
    RESPONSE,
    STUDENT,
    TEACHER,
    HandValue,
    chunk,
    loss,
    objective_of,
    tokens,
)


def each(**options):
    return tokens(objective_of("opsd", **options), chunk(informed=TEACHER))


def mean(**options):
    return loss("opsd", options, origin="student", informed=TEACHER)


def entries():
    return jsd_entries(TEACHER.log_softmax(-1), STUDENT.log_softmax(-1), 0.5)


def expected_sampled_gradient(token):
    """The mean over all next tokens y, by q(y), of the gradient of the loss of y."""
    found = torch.zeros(4, dtype=torch.float64)
    for y, q in enumerate(STUDENT[token].softmax(-1)):
        leaf = STUDENT[[token]].clone().requires_grad_()
        at = chunk(leaf, (y,), informed=TEACHER[[token]])
        (one,) = torch.autograd.grad(objective_of("opsd", form="sampled").token(at).sum(), leaf)
        found += q * one[0]
    return found


VALUES = [
    HandValue("JSD, each token", (0.059831, 0.124793), each),
    HandValue("JSD, mean", 0.092312, mean),
    HandValue("entries", (0.030137, 0.025386, 0.000871, 0.003436), lambda: entries()[0]),
    HandValue("entries, second", (0.026903, 0.003569, 0.053182, 0.041139), lambda: entries()[1]),
    HandValue(
        "entries at most .02", (0.044307, 0.063569), lambda: each(clip=0.02, clip_per="entry")
    ),
    HandValue("tokens at most .1", 0.079915, lambda: mean(clip=0.1)),
    HandValue("top 2 renormalised", (0.064713, 0.110580), lambda: each(top_k=2)),
    HandValue("top 4 is all", (0.059831, 0.124793), lambda: each(top_k=4)),
    HandValue("temperature 1.1", (0.049464, 0.106792), lambda: each(temperature=1.1)),
    # JSD with the weight .9: seeds.md 0.2.
    HandValue("teacher weight .9", (0.021855, 0.048784), lambda: each(teacher_weight=0.9)),
    HandValue("sampled", (0.864339, -1.226323), lambda: each(form="sampled")),
    HandValue(
        "expected sampled gradient",
        (-0.302563, 0.264518, 0.002246, 0.035799),
        lambda: expected_sampled_gradient(0),
    ),
    HandValue(
        "the same view has no loss",
        (0, 0),
        lambda: tokens(objective_of("opsd"), chunk(TEACHER, RESPONSE, informed=TEACHER)),
    ),
]

"""Pre-training distillation; `seeds.md` 5.1.

Top p .95 keeps the tokens 0, 1, 2 of the first distribution, and 1, 2, 3 of the second.
"""

import torch

from kdbench.training.chunk import TopK
from kdbench.training.schedule import WarmupStableDecay
from tests.methods.hand_values import (
    STUDENT,
    TEACHER,
    HandValue,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def kept(cached=None, **options):
    """Each token of E2; from a cache of the likeliest tokens if their number is given."""
    objective = objective_of("pretrain_kd", 1, top_k=options.pop("top_k", 100), **options)
    if cached is None:
        return tokens(objective)
    log_p, ids = TEACHER.log_softmax(-1).topk(cached)
    rest = (1 - log_p.exp().sum(-1)).clamp(min=1e-30).log()
    return tokens(objective, chunk(teacher=TopK(ids, log_p, rest)))


def kl(**options):
    """KL(t‖q): the loss without the entropy of t, which is q less the gradient."""
    objective = objective_of("pretrain_kd", 1, top_k=100, **options)
    target = (STUDENT.softmax(-1) - gradient(objective)).clamp(min=0)
    return kept(**options) + torch.special.xlogy(target, target).sum(-1)


def first_gradient():
    return gradient(objective_of("pretrain_kd", 1, top_k=100, target_temperature=2))[0]


def weights(*steps):
    schedule = WarmupStableDecay(0.9, 0.1, 0.2)
    return [schedule.values(step / 100)["kd_weight"] for step in steps]


HALF = {"target_temperature": 2, "top_k": 100, "alpha_schedule": "constant"}

VALUES = [
    HandValue("top p .95", (1.143157, 1.207034), kept),
    HandValue("top k 2", (1.041020, 1.138001), lambda: kept(top_k=2)),
    HandValue("top p .8", (1.041020, 1.138001), lambda: kept(top_p=0.8)),
    HandValue("temperature 2", (1.208216, 1.290547), lambda: kept(target_temperature=2)),
    HandValue("KL(t‖q)", (0.310761, 0.619405), kl),
    HandValue("KL(t‖q), temperature 2", (0.188025, 0.348278), lambda: kl(target_temperature=2)),
    HandValue("all tokens", (1.192281, 1.224903), lambda: kept(top_p=1)),
    HandValue("a cache of 3", (1.208216, 1.290547), lambda: kept(3, target_temperature=2)),
    HandValue("a cache of all", (1.192281, 1.224903), lambda: kept(4, top_p=1)),
    # Only the likeliest token: -log q of it.
    HandValue("top p .1", (1.175490, 1.161841), lambda: kept(top_p=0.1)),
    HandValue("α .9, temperature 2, mean", 1.231310, lambda: loss("pretrain_kd", HALF)),
    HandValue("α 0 is CE", 1.068666, lambda: loss("pretrain_kd", {"kd_ratio": 0})),
    # q - t, t ∝ (e^1, e^.5, e^0) on the tokens 0-2: (.506480, .307196, .186324).
    HandValue(
        "gradient of the first token",
        (-0.197812, 0.201711, -0.072772, 0.068873),
        first_gradient,
        tolerance=1e-6,
    ),
    HandValue(
        "weights of the schedule",
        (0, 0.45, 0.9, 0.9, 0.9, 0.45, 0),
        lambda: weights(0, 5, 10, 50, 80, 90, 100),
    ),
]

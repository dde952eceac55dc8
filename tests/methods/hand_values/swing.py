"""Swing distillation; `seeds.md` 2.8."""

import torch

from tests.methods.hand_values import HandValue, chunk, objective_of, tokens


def of(private, **options):
    plan = {"private": torch.tensor(private, dtype=torch.float64)}
    return tokens(objective_of("swing", **{"ce_weight": 0, **options}), chunk(plan=plan))


def target(private):
    plan = {"private": torch.tensor(private, dtype=torch.float64)}
    return objective_of("swing").target(chunk(plan=plan)).exp()[1]


VALUES = [
    HandValue("one token of two is private", (0.244744, 0.070009), lambda: of([0, 1])),
    HandValue("mean", 0.157377, lambda: of([0, 1]).mean()),
    HandValue(
        "target of a private token",
        (0.201487, 0.218328, 0.342773, 0.237412),
        lambda: target([0, 1]),
    ),
    HandValue("half private", 0.085076, lambda: of([0, 0.5])[1]),
    HandValue("nothing is private: KL(p‖q)", (0.244744, 0.494684), lambda: of([0, 0])),
    # Not in the reference: -log 4 minus the mean of log q, by numpy.
    HandValue(
        "all noise: KL(even‖q)",
        (0.289196, 0.100547),
        lambda: of([1, 1], noise=1),
    ),
    # KL(p‖q) + CE of the first token; the second is private and has none.
    HandValue(
        "cross-entropy where a token is not private",
        (0.244744 + 1.175490, 0.070009),
        lambda: of([0, 1], ce_weight=1),
        2e-6,
    ),
]

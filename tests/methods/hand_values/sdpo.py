"""SDPO; `seeds.md` 4.1, 4.2 and M7. E2's teacher is the view that sees a right response."""

import torch

from kdbench.training.sources.groups import group_advantages
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


def distilled(**options):
    return tokens(objective_of("sdpo", **options), chunk(informed=TEACHER))


def policy(advantage):
    objective = objective_of("sdpo", distillation_weight=0)
    return tokens(objective, chunk(plan={"advantage": torch.tensor(advantage)}))


def policy_gradient():
    leaf = STUDENT.clone().requires_grad_()
    at = chunk(leaf, RESPONSE, plan={"advantage": torch.tensor((1.0, -1.0))})
    (found,) = torch.autograd.grad(
        objective_of("sdpo", distillation_weight=0).token(at).sum(), leaf
    )
    return found


VALUES = [
    HandValue("all tokens", (0.059831, 0.124793), distilled),
    HandValue("mean", 0.092312, lambda: loss("sdpo", {}, "rescued", informed=TEACHER)),
    HandValue("top 2 and the tail", (0.058862, 0.120080), lambda: distilled(top_k=2)),
    HandValue("advantages of a group", (1, -1, -1, 1), lambda: group_advantages([1, 0, 0, 1])),
    # A times the cross-entropies of seeds.md 0.2; the gradient is A (q - 1_y).
    HandValue("policy gradient, each token", (1.175490, -0.961841), lambda: policy((1.0, -1.0))),
    HandValue(
        "gradient of the policy gradient",
        (-0.691332, 0.508907, 0.113552, 0.068873),
        lambda: policy_gradient()[0],
    ),
    HandValue(
        "gradient of a failed token",
        (-0.189789, -0.115113, -0.312909, 0.617812),
        lambda: policy_gradient()[1],
    ),
]

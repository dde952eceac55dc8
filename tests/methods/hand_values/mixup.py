"""Mixup in KD; `seeds.md` 5.9: t1 of E2 as the output of a mixture with λ = .3."""

import torch

from kdbench.views.mixing import mixed_inputs
from kdbench.views.rollout import Batch, Mix, Rollout
from tests.methods.hand_values import STUDENT, TEACHER, HandValue, chunk, objective_of

FIRST = slice(0, 1)


def at(share=0.3, partner=3):
    plan = {"own_share": torch.tensor([share]), "partner_token": torch.tensor([float(partner)])}
    return chunk(STUDENT[FIRST], (0,), plan, teacher=TEACHER[FIRST])


def token(share=0.3, **options):
    return objective_of("mixup", **options).token(at(share))[0]


def gradient(scaled):
    leaf = STUDENT[FIRST].clone().requires_grad_()
    given = chunk(leaf, (0,), at().plan, teacher=TEACHER[FIRST])
    objective = objective_of("mixup", scaled=scaled)
    return torch.autograd.grad(objective.token(given).sum(), leaf)[0][0]


def embeddings(share=0.3):
    """(1, 0, 2) and (0, 1, -1) mixed: the last input of the first row and of its partner."""
    table = torch.nn.Embedding(2, 3, dtype=torch.float64)
    table.weight.data = torch.tensor([[1, 0, 2], [0, 1, -1]], dtype=torch.float64)
    partner = Rollout("b", (1,), (1,), "dataset")
    batch = Batch([Rollout("a", (0,), (0,), "dataset", mix=Mix(partner, share))])
    ids = batch.inputs()[0]
    with mixed_inputs(table, ids, batch):
        return table(ids)[0, 0].detach()


HARD, SOFT = {"ce_weight": 1, "kd_weight": 0}, {"ce_weight": 0, "kd_weight": 1}
VALUES = [
    HandValue("hard, scaled", 2.331045, lambda: token(scaled=True, **HARD)),
    HandValue("soft, scaled", 0.173043, lambda: token(scaled=True, **SOFT)),
    HandValue("scaled", 0.388843, lambda: token(scaled=True)),
    HandValue("hard", 2.225490, lambda: token(**HARD)),
    HandValue("soft", 0.244744, lambda: token(**SOFT)),
    HandValue("plain", 0.442819, token),
    HandValue(
        "standard deviations", (1.290994, 0.912871), lambda: [TEACHER[0].std(), STUDENT[0].std()]
    ),
    HandValue("λ = 1 is KD", 0.1 * 1.175490 + 0.9 * 0.244744, lambda: token(1.0)),
    HandValue("embeddings", (0.3, 0.7, -0.1), embeddings),
    HandValue("embeddings, λ = 1", (1.0, 0.0, 2.0), lambda: embeddings(1.0)),
    # By numpy: γ (q - λ y_i - (1-λ) y_j) + α (q - p).
    HandValue(
        "gradient", (-0.300855, 0.295712, 0.035123, -0.029980), lambda: gradient(scaled=False)
    ),
]

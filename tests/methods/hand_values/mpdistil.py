"""MPDistil; `seeds.md` 5.3. The reference's squares are means over three classes, ours are sums."""

import math

import torch

from kdbench.methods.mpdistil import SoftSquares, Surer, UnitStates, meta_loss, reward_of
from kdbench.training import Chunk
from kdbench.training.bandit import reinforce, returns_to_go
from tests.methods.hand_values import HandValue

Z_T = torch.tensor([[1, 0, -1], [0, 1, 0.5]], dtype=torch.float64)
Z_S = torch.tensor([[0.5, 0.5, -0.5], [0.2, 0.4, 0.6]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])
H_T = torch.tensor([[3, 4], [0, 2]], dtype=torch.float64)
H_S = torch.tensor([[1, 0], [1, 1]], dtype=torch.float64)


def both(student=Z_S):
    hidden = {("student", -1): H_S, ("teacher", -1): H_T}
    parts = {"projector": torch.nn.Identity()}
    return Chunk(student, {"teacher": Z_T}, LABELS, {}, {}, hidden, parts)


def mean(objective):
    return objective.token(both()).mean()


def log_of_label(logits):
    return both().of_target(logits.log_softmax(-1))


def total(state_weight):
    cross_entropy = -log_of_label(Z_S).mean()
    squares, states = mean(SoftSquares()) / 3, mean(UnitStates())
    return 0.5 * squares + 0.5 * cross_entropy + state_weight * states


def meta(kind):
    return meta_loss(log_of_label(Z_T), log_of_label(Z_S), kind).mean()


def gradient_of_squares():
    """By the student's first logits, by finite differences of the formula in plain Python."""
    leaf = Z_S.clone().requires_grad_()
    return torch.autograd.grad(SoftSquares().token(both(leaf)).sum(), leaf)[0][0]


def by_differences():
    def softmax(logits):
        powers = [math.exp(x / 5) for x in logits]
        return [power / sum(powers) for power in powers]

    def squares(logits):
        return 25 * sum(
            (p - q) ** 2 for p, q in zip(softmax((1, 0, -1)), softmax(logits), strict=True)
        )

    ends = [[[0.5, 0.5, -0.5] for _ in range(3)] for _ in range(2)]
    for place in range(3):
        ends[0][place][place] += 1e-5
        ends[1][place][place] -= 1e-5
    return [(squares(up) - squares(down)) / 2e-5 for up, down in zip(*ends, strict=True)]


def rewards(kind):
    return reward_of(log_of_label(Z_S).tolist(), log_of_label(Z_T).tolist(), kind)


RETURNS = (6.04, 5.6, 4.0)
EPISODE = (0.2, 0.1, -0.3), (0, 2, 1), RETURNS
VALUES = [
    HandValue("squares, mean over three classes", 0.021126, lambda: mean(SoftSquares()) / 3),
    HandValue("states", 0.346447, lambda: mean(UnitStates())),
    HandValue("all terms", 35.148698, lambda: total(100)),
    HandValue("all terms without states", 0.504037, lambda: total(0)),
    HandValue("gradient of the squares", by_differences(), gradient_of_squares),
    HandValue("competitive", 0.333703, lambda: meta("competitive")),
    HandValue("collaborative", 0.765443, lambda: meta("collaborative")),
    # the meta teacher's mean p(y), which has no gradient, is not in the loss
    HandValue("curriculum", 1.197183, lambda: mean(Surer()) + log_of_label(Z_T).exp().mean()),
    HandValue("binary reward", 0, lambda: rewards("binary")),
    HandValue("real reward, the sum of two", -0.420470, lambda: 2 * rewards("real")),
    HandValue("returns", RETURNS, lambda: returns_to_go((1, 2, 4), 0.9)),
    HandValue(
        "policy's loss", 5.867248, lambda: reinforce((0.2, 0.1, -0.3), (0, 2, 1), RETURNS)[0]
    ),
    # (sum of returns × π - the returns of each action) / 3
    HandValue(
        "policy's gradient",
        (0.06256, 0.545013, -0.607573),
        lambda: reinforce(*EPISODE)[1],
    ),
]

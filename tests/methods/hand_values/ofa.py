"""OFA; `seeds.md` 2.7 and 3.1. A method's terms are cross-entropy, ℓ, and the exits."""

from types import SimpleNamespace

import torch

from kdbench.methods.ofa import enhanced
from kdbench.training import Chunk
from tests.methods.hand_values import (
    RESPONSE,
    STUDENT,
    TEACHER,
    HandValue,
    WithHead,
    chunk,
    gradient,
    loss,
    objective_of,
    tokens,
)


def of(power):
    return objective_of("ofa", 1, power=power)


def coefficients(power=1.5):
    """Those of log q, which are minus ℓ of a log q that is 1 for one token and 0 for others."""
    ones = torch.eye(4, dtype=torch.float64)
    columns = [enhanced(chunk(), ones[v].expand(2, -1), power) for v in range(4)]
    return -torch.stack(columns, -1)


def at_the_lowest():
    found = coefficients()
    return gradient(of(1.5), (found / found.sum(-1, keepdim=True)).log())


def of_exit():
    """An exit whose logits are half of the student's: an identity is its map and the head."""
    found = objective_of("ofa", 2, exits=(1,), power=1)
    identity = torch.nn.Linear(4, 4, bias=False, dtype=torch.float64)
    torch.nn.init.eye_(identity.weight)
    found.begin(SimpleNamespace(student=WithHead(identity), vocabulary=4))
    states, targets = {("student", 1): STUDENT / 2}, torch.tensor(RESPONSE)
    parts = {"exit_1": torch.nn.Identity()}
    return found.token(Chunk(None, {"teacher": TEACHER}, targets, hidden=states, parts=parts))


def with_exit():
    return tokens(objective_of("ofa")) + tokens(of(1)) + of_exit()


VALUES = [
    HandValue("power 1: KL(p‖q) + H(p)", (1.192281, 1.224903), lambda: tokens(of(1))),
    HandValue("power 1.2", (1.238344, 1.114170), lambda: tokens(of(1.2))),
    HandValue("power 1.5", (1.451349, 1.021181), lambda: tokens(of(1.5))),
    HandValue("mean", 1.236265 + 1.068666, lambda: loss("ofa", {}), 2e-6),
    HandValue("power 2", (2.058393, 0.951574), lambda: tokens(of(2))),
    HandValue(
        "coefficients",
        (1.107748, 0.115292, 0.025725, 0.005740),
        lambda: coefficients()[0],
    ),
    HandValue("their sums", (1.254506, 0.889692), lambda: coefficients().sum(-1)),
    HandValue("gradient at the lowest point", ((0,) * 4,) * 2, at_the_lowest),
    HandValue(
        "a student equal to its teacher, power 1",
        0.838878,  # the mean of H(p)
        lambda: tokens(of(1), chunk(TEACHER)).mean(),
    ),
    HandValue(
        "a student equal to its teacher, power 1.5",
        0.670128,
        lambda: tokens(of(1.5), chunk(TEACHER)).mean(),
    ),
    HandValue("an exit", (1.221206, 1.281576), of_exit),
    HandValue("with an exit", (3.588977, 3.468320), with_exit, 2e-6),
    HandValue("mean with an exit", 3.528649, lambda: with_exit().mean(), 2e-6),
]

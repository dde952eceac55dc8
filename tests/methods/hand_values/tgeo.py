"""TGeo-KD; `seeds.md` 5.4."""

from types import SimpleNamespace

import torch

from kdbench.training import Chunk, Objective, Rollout
from kdbench.training.agreement import correlation
from kdbench.training.gradients import StudentGradients
from kdbench.training.sources.bilevel import Mixed, mixing_gradients
from tests.methods.hand_values import RESPONSE, STUDENT, TEACHER, HandValue, objective_of


def losses(*shares):
    """Each token of E2 with a controller that gives these shares; temperature 1.5."""
    logits = torch.logit(torch.tensor(shares, dtype=torch.float64))
    controller = lambda given: logits[:, None]  # noqa: E731
    views = {"teacher": TEACHER}
    chunk = Chunk(STUDENT, views, torch.tensor(RESPONSE), parts={"controller": controller})
    return objective_of("tgeo").token(chunk)


# A student of one number θ = 0, which a view gives as its only logit. Training: ½(θ-1)² with the
# share α and ½(θ+1)² with 1-α; validation: ½(θ-v)².
class Towards(Objective):
    views = ()

    def __init__(self, target):
        self.target = target

    def token(self, chunk):
        return 0.5 * (chunk.logits[:, 0] - self.target) ** 2


class Scalar(Mixed):
    views = ()

    def __init__(self, alpha):
        self.alpha = alpha

    def gap(self, chunk):
        return Towards(1).token(chunk) - Towards(-1).token(chunk)

    def token(self, chunk):
        return self.alpha * self.gap(chunk) + Towards(-1).token(chunk)


def derivative(validation=0.8, rate=1.0, alpha=0.5):
    model = torch.nn.Module()
    model.register_parameter("theta", torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    view = SimpleNamespace(
        states=lambda batch: model.theta.expand(len(batch.targets), 1),
        logits=lambda states: states,
        raw=lambda states: states,
        finish=lambda logits: logits,
        head_parameters=(),
        vocabulary=1,
    )
    group = StudentGradients(model, view, {}, {}, "cpu").group("theta")  # type: ignore[arg-type]
    rows = [Rollout("row", (0,), (0,), "dataset")]
    return mixing_gradients(group, Scalar(alpha), rows, Towards(validation), rows, rate)


VALUES = [
    HandValue("α = ½, each token", (0.708605, 0.760851), lambda: losses(0.5, 0.5)),
    HandValue("α = .3 and .8, each token", (0.895359, 0.640257), lambda: losses(0.3, 0.8)),
    HandValue("the same, mean", 0.767808, lambda: losses(0.3, 0.8).mean()),
    HandValue("α = 0 is CE", (1.175490, 0.961841), lambda: losses(0.0, 0.0)),
    # T² KL at T = 1.5, from the two rows above: 2 (.708605) - 1.175490, 2 (.760851) - .961841.
    HandValue("α = 1", (0.241720, 0.559861), lambda: losses(1.0, 1.0), tolerance=2e-6),
    HandValue("dL/dα of a scalar model", (-1.6,), derivative),
    HandValue("it is 0 at the best share", (0.0,), lambda: derivative(alpha=0.9)),
    # (θ' - v) η (t - g) with θ' = 0: at v = -.25, η = .5 it is .25.
    HandValue("the same elsewhere", (0.25,), lambda: derivative(-0.25, 0.5)),
    HandValue("correlation", 0.5, lambda: correlation((1, 2, 3), (1, 3, 2))),
]

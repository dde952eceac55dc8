"""ADPA; `seeds.md` 6.1."""

import torch

from kdbench.methods import methods
from kdbench.methods.adpa import TeacherAdvantage
from kdbench.training import Batch, Rollout
from kdbench.training.loss import distillation_loss
from tests.methods.hand_values import (
    RESPONSE,
    STUDENT,
    TEACHER,
    Given,
    HandValue,
    chunk,
    gradient,
)

REFERENCE = torch.tensor([[1.5, 1, 0.2, -0.8], [0.2, 0.4, 2, 1.2]], dtype=torch.float64)


def tokens(student=STUDENT, limit=None):
    """The loss of each token."""
    return TeacherAdvantage(limit).token(chunk(student, reference=REFERENCE))


def on_one_token():
    """The loss of a student that has all of its mass on the token with the largest advantage."""
    sure = torch.full((2, 4), -1e4, dtype=torch.float64)
    sure[0, 0] = sure[1, 2] = 0
    return tokens(sure)


def whole_loss():
    """1.5 times the advantage of E2 as a sample, and the cross-entropy of E2 as the chosen one."""
    terms = methods.get("adpa")().triple().terms
    rows = [Rollout(origin, (0,), RESPONSE, origin) for origin in ("student", "chosen")]
    twice = {
        name: Given(torch.cat([logits, logits]))
        for name, logits in (
            ("student", STUDENT),
            ("teacher", TEACHER),
            ("reference", REFERENCE),
        )
    }
    return distillation_loss(terms, Batch(rows), twice).value


def slope_at_the_anchored_optimum():
    """The gradient of the advantage + .5 KL(q‖q_0) at q ∝ q_0 exp(a / .5), where it is 0."""
    terms = methods.get("adpa")(anchor_weight=0.5, advantage_weight=1).triple().terms
    ratio = TEACHER.log_softmax(-1) - REFERENCE.log_softmax(-1)
    best = (STUDENT + ratio / 0.5).requires_grad_()
    given = {"teacher": TEACHER, "reference": REFERENCE, "start": STUDENT}
    views = {"student": Given(best), **{name: Given(logits) for name, logits in given.items()}}
    batch = Batch([Rollout("row", (0,), RESPONSE, "student")])
    (found,) = torch.autograd.grad(distillation_loss(terms, batch, views).value, best)
    return found.flatten()


VALUES = [
    HandValue("each token", (0.139587, 0.429865), tokens),
    HandValue("mean", 0.284726, lambda: tokens().mean()),
    HandValue("with cross-entropy", 1.495755, whole_loss),
    HandValue("student = reference", (0.042492, 0.145945), lambda: tokens(REFERENCE)),
    HandValue("student = teacher", (-0.040681, -0.126507), lambda: tokens(TEACHER)),
    HandValue("all mass on one token", (-0.242564, -0.360109), on_one_token),
    HandValue(
        "gradient of the first token",
        (-0.117958, 0.059974, 0.036093, 0.021891),
        lambda: gradient(TeacherAdvantage(), reference=REFERENCE)[0],
    ),
    # By numpy, with each log-ratio within ±.3.
    HandValue("limit .3", (0.110867, 0.112254), lambda: tokens(limit=0.3)),
    # By hand: the anchored loss is lowest at q_0 exp(a / weight), normalised.
    HandValue("anchored optimum", (0.0,) * 8, slope_at_the_anchored_optimum, 1e-12),
    HandValue(
        "gradient of the second token",
        (0.077818, 0.012665, -0.247191, 0.156707),
        lambda: gradient(TeacherAdvantage(), reference=REFERENCE)[1],
    ),
]

"""DistiLLM-2; `seeds.md` 8.1.

The first token of E2 is the teacher's text, the second the student's.
"""

import torch

from kdbench.methods import methods
from kdbench.methods.distillm2 import Curricula, SkewedByWriter
from kdbench.training import Batch, Plan, Rollout, StepSignals
from tests.methods.hand_values import HandValue
from tests.methods.hand_values.dckd import gradient, pair_loss


def skew(p, q, first, side="chosen"):
    """α of a response of one token, whose probabilities are p and q, after a first lead."""
    batch = Batch([Rollout("row", (0,), (1,), side)])
    values = {"teacher": p, "student": q}

    def scalar(kind, view):
        return torch.tensor([values[view]], dtype=torch.float64).log()

    plan = Plan(batch, scalar, {f"lead/{side}": first})
    return float(SkewedByWriter(side, 0.1, adaptive=True).plan(plan)["skew"][0, 0])


def weights(*progress):
    """β while it grows."""
    schedule = methods.get("distillm2")(growing_weight=True).triple().schedule
    return [schedule.values(at)["student_text"] for at in progress]


def first_lead():
    """The lead that the schedule remembers, after three steps."""
    schedule = Curricula(1.0, growing=False, diagnoses=True)
    for number, lead in enumerate((0.3, 0.5, 0.1), start=1):
        schedule.after_step(StepSignals(number, 0.1, 1.0, {}, {"distillm2/lead_chosen": lead}))
    return schedule.values(0.5)["lead/chosen"]


VALUES = [
    HandValue("pair", 0.619742, lambda: pair_loss("distillm2")),
    HandValue(
        "teacher's text", 2 * 0.195176, lambda: pair_loss("distillm2", student_weight=0), 2e-6
    ),
    HandValue("β 1.5", 0.734437, lambda: pair_loss("distillm2", student_weight=1.5)),
    HandValue("α -> 0", 0.244744 + 0.562931, lambda: pair_loss("distillm2", skew=0), 1.1e-6),
    # By numpy; the student's part of the mixture has no gradient in the second.
    HandValue(
        "gradient on the teacher's text",
        (-0.257675, 0.211795, 0.017217, 0.028663),
        lambda: gradient("distillm2")[0],
    ),
    HandValue(
        "gradient on the student's text",
        (0.156786, 0.008699, -0.402823, 0.237337),
        lambda: gradient("distillm2")[1],
    ),
    HandValue(
        "α by the first lead",
        (0.1, 0.1, 0.070031, 0.01),
        lambda: [skew(0.6, 0.3, first) for first in (0.2, 0.3, 0.31, 0.4)],
    ),
    HandValue("α before the first lead", 0.1, lambda: skew(0.6, 0.3, 0.0)),
    # On the student's text the lead is the student's.
    HandValue("α on the student's text", 0.070031, lambda: skew(0.3, 0.6, 0.31, "rejected")),
    HandValue("β grows in the first half", (1, 1.25, 1.5, 1.5), lambda: weights(0, 0.25, 0.5, 0.9)),
    HandValue("the first step's lead stays", 0.3, first_lead),
]

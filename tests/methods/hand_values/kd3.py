"""KD3; `seeds.md` 5.6."""

import math

from kdbench.training.sources.confidence import confidence, surest
from tests.methods.hand_values import HandValue, loss

TEACHER, STUDENT = (0.9, 0.6, 0.4, 0.8), (0.5, 0.7, 0.3, 0.9)


def confidences():
    """Of responses of one token; in probabilities, the geometric mean of both models'."""
    rows = [[[math.log(p)] for p in model] for model in (TEACHER, STUDENT)]
    return confidence(*rows)


VALUES = [
    HandValue(
        "confidences",
        (0.670820, 0.648074, 0.346410, 0.848528),
        lambda: [math.exp(value) for value in confidences()],
    ),
    HandValue("the surer half", (0, 3), lambda: surest(confidences(), 0.5)),
    HandValue("one at least", (3,), lambda: surest(confidences(), 0.01)),
    # ½ (½ (log .9 + log .4) + log .5)
    HandValue(
        "of two tokens",
        (-0.601986,),
        lambda: confidence([[math.log(0.9), math.log(0.4)]], [[math.log(0.5), math.log(0.5)]]),
    ),
    HandValue("mean", 0.369714, lambda: loss("kd3", {}, origin="teacher")),
]

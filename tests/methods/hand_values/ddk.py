"""DDK; `seeds.md` 5.2. Losses are logarithms of the perplexities that are given there."""

import math

from kdbench.methods import methods
from kdbench.training.schedule import ValidationSignals
from tests.methods.hand_values import HandValue, loss


def weights(*validations, share=0.5, start=None):
    """The weights after some validations, each of the student's and the teacher's perplexities."""
    schedule = methods.get("ddk")(share=share).triple().schedule
    schedule.weights = dict(start or {})
    for perplexities in validations:
        losses = [
            {str(place): math.log(value) for place, value in enumerate(of_model)}
            for of_model in perplexities
        ]
        by_domain = dict(zip(("student", "teacher"), losses, strict=True))
        schedule.after_validation(ValidationSignals(0.0, by_domain=by_domain))
    return list(schedule.weights.values())


FIRST = ((10, 20), (5, 16))

VALUES = [
    HandValue("mean", 1.142609, lambda: loss("ddk", {})),
    HandValue("CE alone", 1.068666, lambda: loss("ddk", {"kd_weight": 0})),
    HandValue("weights at first", (0.679179, 0.320821), lambda: weights(FIRST)),
    # ψ = (.679179 e^2, .320821 e^1.25), r = ½ ψ/Σψ + ¼.
    HandValue(
        "weights at equal perplexities again",
        (0.658787, 0.341213),
        lambda: weights(FIRST, FIRST),
    ),
    HandValue(
        "weights at a third time", (0.651717, 0.348283), lambda: weights(FIRST, FIRST, FIRST)
    ),
    HandValue(
        "equal ratios forget",
        (0.6, 0.4),
        lambda: weights(((8, 6), (4, 3)), start={"0": 0.7, "1": 0.3}),
    ),
    HandValue("share 0 is even", (0.5, 0.5), lambda: weights(FIRST, FIRST, share=0)),
    # e^40000 is no number.
    HandValue("an untrained student", (1.0, 0.0), lambda: weights(((8e4, 10), (2, 5)))),
]

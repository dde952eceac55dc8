"""KD-AIF; `seeds.md` 5.5. Rows x = (0, 1, 5), loss ½(θ-x)², θ = 2, validation target 1."""

from kdbench.training.agreement import auc
from kdbench.training.sources.influence import influence_weights
from tests.methods.hand_values import HandValue, loss

# Gradients (2, 1, -3) of the rows times 1 of the validation row.
INFLUENCES = (2.0, 1.0, -3.0)


def weighted(losses):
    return [w * one for w, one in zip(influence_weights(INFLUENCES), losses, strict=True)]


VALUES = [
    HandValue(
        "weights of mean one",
        (1.661447, 1.113701, 0.224852),
        lambda: influence_weights(INFLUENCES),
    ),
    # (0.607532, 0.371331) with 1.636027, the mean of e^1, e^.6 and e^-1.
    HandValue(
        "mean of weighted losses",
        0.371331,
        lambda: sum(weighted((0.2, 0.5, 1))) / 3,
    ),
    HandValue("equal influences", (1.0, 1.0, 1.0), lambda: influence_weights((-2, -2, -2))),
    HandValue("no influence at all", (1.0, 1.0), lambda: influence_weights((0, 0))),
    # σ(h/std h), std h = √(14/3), by numpy: σ (.716227, .613704, .199611).
    HandValue(
        "sigmoid",
        (1.404787, 1.203703, 0.391511),
        lambda: influence_weights(INFLUENCES, "sigmoid"),
    ),
    HandValue("AUC, a pair wrong", 0.75, lambda: auc((0.9, 0.2, 0.5, 0.1), (1, 1, 0, 0))),
    HandValue("AUC of equal scores", 0.5, lambda: auc((1, 1, 1), (1, 0, 0))),
    HandValue("mean", 0.369714, lambda: loss("aif", {})),
    HandValue("half cross-entropy", 0.719190, lambda: loss("aif", {"kd_ratio": 0.5})),
    HandValue("temperature 2", 0.400349, lambda: loss("aif", {"temperature": 2})),
]

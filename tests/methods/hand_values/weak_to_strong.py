"""Weak-to-strong; `seeds.md` 7.9, from the values of 0.2.

The student's first choices in E2 are the tokens 1 (.508907) and 3 (.382188).
"""

from kdbench.methods import methods
from tests.methods.hand_values import HandValue, chunk, gradient, objective_of, tokens


def value(own_weight):
    return tokens(objective_of("weak_to_strong"), chunk(schedule={"own_weight": own_weight}))


def weights(*places, **options):
    schedule = methods.get("weak_to_strong")(**options).triple().schedule
    return [schedule.values(place)["own_weight"] for place in places]


VALUES = [
    HandValue("a = 0 is KL(p‖q)", (0.244744, 0.494684), lambda: value(0)),
    HandValue("a = 1, each token", (0.675490, 0.961841), lambda: value(1)),
    # .25 (.244744, .494684) + .75 (.675490, .961841)
    HandValue("a = .75, each token", (0.567804, 0.845052), lambda: value(0.75)),
    # q - (.25 p + .75 1_v)
    HandValue(
        "gradient of the first token, a = .75",
        (0.147689, -0.300314, 0.091766, 0.060858),
        lambda: gradient(objective_of("weak_to_strong"), schedule={"own_weight": 0.75})[0],
    ),
    HandValue("warm-up", (0, 0.375, 0.75, 0.75, 0.75), lambda: weights(0, 0.1, 0.2, 0.5, 1), 1e-12),
    HandValue(
        "warm-up over all steps",
        (0, 0.2, 0.4),
        lambda: weights(0, 0.5, 1, own_weight=0.4, warmup=1),
        1e-12,
    ),
]

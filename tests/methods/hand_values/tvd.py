"""Total variation; `seeds.md` 0.2. The gradient is by numpy."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.335247, 0.476227), lambda: tokens(objective_of("tvd"))),
    HandValue("mean", 0.405737, lambda: loss("tvd", {})),
    HandValue(
        "gradient of the first token",
        (-0.213392, 0.157083, 0.035050, 0.021259),
        lambda: gradient(objective_of("tvd"))[0],
    ),
]

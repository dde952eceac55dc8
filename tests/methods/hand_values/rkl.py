"""Reverse KL; `seeds.md` 0.2, and 4.1 for the gradient."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.244922, 0.562931), lambda: tokens(objective_of("rkl"))),
    HandValue("mean", 0.403926, lambda: loss("rkl", {})),
    HandValue(
        "gradient of the first token",
        (-0.302563, 0.264518, 0.002246, 0.035799),
        lambda: gradient(objective_of("rkl"))[0],
    ),
]

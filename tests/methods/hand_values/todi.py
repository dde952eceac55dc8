"""ToDi; `seeds.md` 8.2. Its value cannot tell it from Jeffreys' divergence, its gradient can."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.489666, 1.057615), lambda: tokens(objective_of("todi"))),
    HandValue("mean", 0.773640, lambda: loss("todi", {})),
    HandValue(
        "gradient of the first token",
        (-0.484400, 0.412918, 0.015599, 0.055882),
        lambda: gradient(objective_of("todi"))[0],
    ),
]

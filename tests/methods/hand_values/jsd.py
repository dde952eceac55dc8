"""Jensen-Shannon; `seeds.md` 0.2. The gradient is by numpy."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.059831, 0.124793), lambda: tokens(objective_of("jsd"))),
    HandValue("mean", 0.092312, lambda: loss("jsd", {})),
    HandValue(
        "teacher's weight .9",
        (0.021855, 0.048784),
        lambda: tokens(objective_of("jsd", teacher_weight=0.9)),
    ),
    HandValue(
        "gradient of the first token",
        (-0.076177, 0.063906, 0.003622, 0.008649),
        lambda: gradient(objective_of("jsd"))[0],
    ),
]

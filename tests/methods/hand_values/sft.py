"""Cross-entropy; `seeds.md` 0.2. The gradient, q - 1[v=y], is not in the reference."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (1.175490, 0.961841), lambda: tokens(objective_of("sft"))),
    HandValue("mean", 1.068666, lambda: loss("sft", {})),
    HandValue(
        "gradient of the first token",
        (-0.691332, 0.508907, 0.113552, 0.068873),
        lambda: gradient(objective_of("sft"))[0],
    ),
]

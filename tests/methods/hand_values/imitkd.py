"""ImitKD: KL(p‖q) on student samples; `seeds.md` 0.2."""

from tests.methods.hand_values import HandValue, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.244744, 0.494684), lambda: tokens(objective_of("imitkd"))),
    HandValue("mean", 0.369714, lambda: loss("imitkd", {}, "student")),
]

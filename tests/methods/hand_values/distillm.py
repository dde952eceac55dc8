"""DistiLLM's skew divergences at α = .1, by numpy; α = 0 is `seeds.md` 0.2."""

from tests.methods.hand_values import HandValue, loss, objective_of, tokens


def of(direction, skew):
    return tokens(objective_of("distillm", direction=direction, skew=skew))


VALUES = [
    HandValue("forward", (0.195176, 0.397018), lambda: of("forward", 0.1)),
    HandValue("reverse", (0.195227, 0.424566), lambda: of("reverse", 0.1)),
    HandValue("mean", 0.309897, lambda: loss("distillm", {}, "student")),
    HandValue("reverse without skew", (0.244922, 0.562931), lambda: of("reverse", 0)),
]

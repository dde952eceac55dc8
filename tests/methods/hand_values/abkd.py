"""Alpha-beta divergence, by numpy; its limits are those of `seeds.md` 0.2."""

from tests.methods.hand_values import HandValue, loss, objective_of, tokens


def of(alpha, beta):
    return tokens(objective_of("abkd", alpha=alpha, beta=beta))


VALUES = [
    HandValue("each token", (0.270303, 0.617418), lambda: of(0.2, 0.7)),
    HandValue("mean", 0.443860, lambda: loss("abkd", {})),
    HandValue("four times squared Hellinger", (0.242040, 0.513384), lambda: of(0.5, 0.5)),
    HandValue("KL(p‖q)", (0.244744, 0.494684), lambda: of(1, 0)),
    HandValue("KL(q‖p)", (0.244922, 0.562931), lambda: of(0, 1)),
]

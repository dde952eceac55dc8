"""OPD; `seeds.md` 4.1 has its loss on E2, and the gradient that its samples have on average."""

from tests.methods.hand_values import STUDENT, HandValue, gradient, loss, objective_of, tokens


def expected_gradient():
    """Over the tokens that the student may sample, of the first position."""
    q = STUDENT.softmax(-1)[0]
    every = [gradient(objective_of("opd"), targets=(v, 0))[0] for v in range(4)]
    return sum(q[v] * every[v] for v in range(4))


VALUES = [
    HandValue("each token", (0.864339, -1.226323), lambda: tokens(objective_of("opd"))),
    HandValue("mean", -0.180992, lambda: loss("opd", {}, "student")),
    HandValue(
        "expected gradient of the first token, that of KL(q‖p)",
        (-0.302563, 0.264518, 0.002246, 0.035799),
        expected_gradient,
    ),
    # By numpy: -.735301 times (1[v=y] - q).
    HandValue(
        "gradient of the first token",
        (-0.508337, 0.374199, 0.083495, 0.050642),
        lambda: gradient(objective_of("opd"))[0],
        1e-6,
    ),
]

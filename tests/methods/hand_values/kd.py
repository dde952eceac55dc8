"""KD; `seeds.md` 0.2: half of cross-entropy and of KL(p‖q) each."""

from tests.methods.hand_values import HandValue, gradient, loss, objective_of, tokens


def divergence(**options):
    return objective_of("kd", 0, kd_ratio=1, **options)


VALUES = [
    HandValue("KL(p‖q)", (0.244744, 0.494684), lambda: tokens(divergence())),
    HandValue("mean", 0.5 * 1.068666 + 0.5 * 0.369714, lambda: loss("kd", {}), 2e-6),
    HandValue("at temperature 2", (0.234455, 0.566243), lambda: tokens(divergence(temperature=2))),
    HandValue("mean at 2, by numpy", 0.734507, lambda: loss("kd", {"temperature": 2})),
    HandValue(
        "gradient of the first token, q - p",
        (-0.335247, 0.272024, 0.026408, 0.036814),
        lambda: gradient(divergence())[0],
    ),
]

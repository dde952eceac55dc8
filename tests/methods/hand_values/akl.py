"""Adaptive KL, by hand from KL(p‖q), KL(q‖p) and the gaps |p - q| of E2.

A head of one token has half of the gap, as both sides sum to 1. With a head of .95 the tail is
.063222 of .670493 in the first token (the last two), and .200837 of .952455 in the second.
"""

from tests.methods.hand_values import HandValue, loss, objective_of, tokens

VALUES = [
    HandValue("each token", (0.244833, 0.528807), lambda: tokens(objective_of("akl"))),
    HandValue("mean", 0.386820, lambda: loss("akl", {})),
    HandValue(
        "a larger head", (0.244761, 0.509075), lambda: tokens(objective_of("akl", head_mass=0.95))
    ),
]

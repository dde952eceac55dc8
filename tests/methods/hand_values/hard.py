"""HARD; `seeds.md` 5.7. Two edits with the divergences of the tokens of E2."""

from kdbench.training import Match
from kdbench.training.sources.hardest import choice_shares, hardest
from tests.methods.hand_values import HandValue, loss, tokens

DIVERGENCES = tokens(Match()).tolist()  # 0.244744, 0.494684


def drawn(uniform):
    return hardest(DIVERGENCES, (0, 0), 0.1, uniform)


VALUES = [
    HandValue("the largest", 1, lambda: hardest(DIVERGENCES, (0, 0))),
    HandValue("softmax at 0.1", (0.075901, 0.924099), lambda: choice_shares(DIVERGENCES, 0.1)),
    HandValue("at 0 all is on the largest", (0.0, 1.0), lambda: choice_shares(DIVERGENCES, 0)),
    # The divisor is far below a float: e^-2499 is 0.
    HandValue("at a tiny temperature", (0.0, 1.0), lambda: choice_shares(DIVERGENCES, 1e-4)),
    HandValue("drawn at 0.1", (0, 1), lambda: [drawn(0.07), drawn(0.08)]),
    # Confidences -3, -1, -2 have the median -2: the first, the hardest, is not taken.
    HandValue("of a sure teacher", 2, lambda: hardest((9, 0.1, 0.4), (-3, -1, -2))),
    HandValue("mean", 0.369714, lambda: loss("hard", {})),
]

"""SKD; `seeds.md` 8.3: acceptance and law of the next token on E2. The gradient is q - p."""

from kdbench.generate.decoding.interleaved import Interleaving
from tests.methods.hand_values import (
    STUDENT,
    TEACHER,
    HandValue,
    gradient,
    loss,
    objective_of,
    tokens,
)

LOG_Q, LOG_P = STUDENT.log_softmax(-1), TEACHER.log_softmax(-1)


def law(top_k, replacement="teacher"):
    """The probability of each next token, however it comes about."""
    kept, put_in = Interleaving(top_k, replacement).law(LOG_Q, LOG_P).exp().chunk(2, -1)
    return kept + put_in


def acceptance(top_k):
    return Interleaving(top_k).law(LOG_Q, LOG_P).exp()[:, :4].sum(-1)


VALUES = [
    HandValue("acceptance, K 2", (0.817574, 0.695098), lambda: acceptance(2)),
    HandValue("acceptance, K 1", (0.308668, 0.312909), lambda: acceptance(1)),
    HandValue("acceptance, K V", (1, 1), lambda: acceptance(4)),
    HandValue("law, K 2", (0.426134, 0.552120, 0.015897, 0.005848), lambda: law(2)[0]),
    HandValue("law, K 2, second", (0.011979, 0.019750, 0.553519, 0.414751), lambda: law(2)[1]),
    # Pure student sampling.
    HandValue("law, K V", (0.308668, 0.508907, 0.113552, 0.068873), lambda: law(4)[0]),
    HandValue("law, K above V", (0.189789, 0.115113, 0.312909, 0.382188), lambda: law(9)[1]),
    # The teacher's greedy token.
    HandValue("law, K 1 of the top 1", (1, 0, 0, 0), lambda: law(1, "top_k")[0]),
    # Not in the reference: q on the first two, and the refused .182426 by p' = p / .880797.
    HandValue("law, K 2 of the top 2", (0.442031, 0.557969, 0, 0), lambda: law(2, "top_k")[0]),
    HandValue("each token", (0.244744, 0.494684), lambda: tokens(objective_of("skd"))),
    HandValue("mean", 0.369714, lambda: loss("skd", {}, origin="student")),
    HandValue(
        "gradient of the first token",
        (-0.335247, 0.272024, 0.026408, 0.036814),
        lambda: gradient(objective_of("skd"))[0],
    ),
]

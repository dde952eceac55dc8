"""EOPD; `seeds.md` 8.2. The teacher is unsure at the first token: .947537 > .8 > .730219."""

from kdbench.divergence import entropy
from tests.methods.hand_values import TEACHER, HandValue, loss, objective_of, tokens

VALUES = [
    HandValue(
        "the teacher's entropies", (0.947537, 0.730219), lambda: entropy(TEACHER.log_softmax(-1))
    ),
    HandValue("all tokens", 0.526298, lambda: loss("eopd", {"top_k": 4}, "student")),
    HandValue(
        "the teacher's top 2, renormalised",
        (0.458816 + 0.244922, 0.562931),
        lambda: tokens(objective_of("eopd", top_k=2)),
        2e-6,
    ),
]

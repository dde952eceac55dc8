"""SeqKD: cross-entropy on the teacher's responses, or with KL(p‖q); `seeds.md` 0.2."""

from tests.methods.hand_values import HandValue, loss

VALUES = [
    HandValue("mean", 1.068666, lambda: loss("seqkd", {}, "teacher")),
    HandValue(
        "half KL(p‖q)",
        0.5 * 1.068666 + 0.5 * 0.369714,
        lambda: loss("seqkd", {"kd_ratio": 0.5}, "teacher"),
        2e-6,
    ),
]

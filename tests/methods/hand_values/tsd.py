"""TSD-KD; `seeds.md` 2.5."""

from tests.methods.hand_values import TEACHER, HandValue, loss

GIVEN = {"top_k": 3}


def of(student=None, **options):
    more = {} if student is None else {"student": student}
    return loss("tsd", {**GIVEN, **options}, "student", **more)


VALUES = [
    HandValue("mean", 1.447502, of),
    HandValue("an opener of both tokens", 1.454361, lambda: of(opener_share=0.6)),
    HandValue("a student equal to its teacher", 1.019624, lambda: of(TEACHER)),
    HandValue(
        "the gated JSD alone",
        0.021536,
        lambda: of(ranking_weight=0, entropy_weight=0),
    ),
    HandValue(
        "the ranking of the opener, and the gated JSD",
        0.1 * 1.305544 + 0.021536,
        lambda: of(entropy_weight=0),
    ),
]

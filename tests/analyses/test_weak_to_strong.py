"""Weak-to-strong, on students made by hand."""

import pytest

from kdbench.analyses import analyses
from tests.analyses.seeded.rows import filled, row, task

WEAK = row("Weak", None, [task("dolly", {"rougeL": 40.0, "lm_loss": 1.0})])


def students(ceiling, plain, confident, loss=0.5):
    """ROUGE-L by seed; the loss of all but the ceiling's is that of the weak teacher."""
    rows = [WEAK]
    for label, scores in (
        ("Ceiling", ceiling),
        ("Weak labels", plain),
        ("Weak labels and confidence", confident),
    ):
        for seed, score in enumerate(scores, start=10):
            lm_loss = loss + 0.01 * seed if label == "Ceiling" else 1.0
            rows.append(row(label, seed, [task("dolly", {"rougeL": score, "lm_loss": lm_loss})]))
    return filled(*rows)


def answer(rows):
    return analyses.get("weak_to_strong")().answer(rows)


CEILING = (60.0, 61.0, 59.0)


def test_half_of_a_gap_is_recovered():
    found = answer(students(CEILING, (50.0, 50.5, 49.5), (55.0, 56.0, 54.2)))
    rouge, loss = found.tables[2].rows
    assert rouge[1].value == pytest.approx(20.0)
    # Half of each seed's gap: Fieller's interval has no width.
    plain, confident = rouge[2], rouge[3]
    assert (plain.low, plain.value, plain.high) == pytest.approx((0.5, 0.5, 0.5))
    assert confident.value == pytest.approx((15 + 16 + 14.2) / 60)
    assert loss[1].value == pytest.approx(0.5 - 0.11)  # less loss is better
    assert loss[2].value == pytest.approx(0.0)
    assert found.sentences[0].startswith(
        "In rougeL the student of weak labels ends above its teacher, PGR 0.50 [0.50, 0.50]; the "
        "confidence loss helps, PGR 0.75"
    )
    assert "is not found above its teacher" in found.sentences[1]
    ((_, more), (_, none)) = found.tables[3].rows
    assert more.value == pytest.approx((5 + 5.5 + 4.7) / 3)
    assert none.value == 0.0


def test_a_gap_that_may_be_none_gives_no_ratio():
    found = answer(students((39.0, 41.5, 40.5), (40.0, 41.0, 39.0), (40.0, 41.0, 39.0), loss=1.5))
    assert found.tables[2].rows[0][2:] == ("not defined", "not defined")
    assert found.tables[2].rows[1][2:] == ("not defined", "not defined")  # the ceiling is worse
    assert found.sentences[0].startswith("In rougeL no gap is recovered or lost")


def test_a_student_below_its_teacher_and_harm_are_said():
    found = answer(students(CEILING, (38.0, 38.2, 37.9), (30.0, 30.4, 29.8)))
    assert "ends below its teacher" in found.sentences[0]
    assert "the confidence loss harms" in found.sentences[0]


def test_help_is_claimed_by_the_corrected_p_value():
    # Gains of 3, 5 and 7: p .0494 alone, and .0988 by Holm's method for two measures.
    found = answer(students(CEILING, (50.0, 50.0, 50.0), (53.0, 55.0, 57.0)))
    assert found.tables[3].rows[0][1].p == pytest.approx(0.0988, abs=5e-4)
    assert "no difference is seen with the confidence loss" in found.sentences[0]

"""How far papers disagree: against ranges worked out by hand, and what does not count."""

import pytest

from kdbench.tables.spread import spreads

FILE = """
schema: 1
metric: rougeL
columns: [dolly, vicuna]
sources:
  one: {title: One, url: https://one}
  one_again: {title: "One, first revision", url: https://one}
  two: {title: Two, url: ""}
settings:
  - id: pair
    title: Teacher to student
    teacher: a
    student: b
    rows:
      - {method: GKD, role: student, source: one, certainty: verified, decimals: 1,
         values: {dolly: 10.0, vicuna: 5.0}}
      - {method: GKD (again), known_as: GKD, role: student, source: one_again, certainty: verified,
         decimals: 1, values: {dolly: 14.0}}
      - {method: GKD (Two), known_as: GKD, role: student, source: two, certainty: second_hand,
         decimals: 1, values: {dolly: 12.5, vicuna: 9.0}, unverified: [vicuna]}
      - {method: KD, role: student, source: one, certainty: verified, decimals: 1,
         values: {dolly: 1.0}}
      - {method: KD (again), known_as: KD, role: student, source: one_again, certainty: verified,
         decimals: 1, values: {dolly: 2.0}}
"""


def test_rows_of_one_name_and_several_sources_have_a_spread(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text(FILE, encoding="utf-8")
    (found,) = spreads(path)  # KD has one source, and GKD's second Vicuna cell is from memory
    assert (found.method, found.column, found.scores) == ("GKD", "dolly", (10.0, 14.0, 12.5))
    assert (found.low, found.high, found.range) == (10, 14, 4)
    assert len(found.sources) == 2
    assert spreads(path, least_sources=3) == []


# From a reader's own table of the same papers.
@pytest.mark.parametrize(
    ("setting", "method", "column", "low", "high"),
    [
        ("gpt2-xl-to-gpt2-base", "GKD", "super_natural", 19.43, 26.05),
        ("gpt2-xl-to-gpt2-base", "GKD", "unnatural", 22.28, 27.70),
        ("gpt2-xl-to-gpt2-base", "SFT", "dolly", 23.01, 23.33),
        ("gpt2-xl-to-gpt2-base", "DistiLLM", "unnatural", 25.79, 30.11),
        ("gpt2-xl-to-gpt2-base", "reverse KL, loss only", "unnatural", 19.35, 26.01),
        ("gpt2-xl-to-gpt2-base", "forward KL, loss only", "super_natural", 16.63, 19.70),
        ("gpt2-xl-to-gpt2-base", "Teacher", "unnatural", 31.43, 31.86),
        ("openllama2-7b-to-openllama2-3b", "ABKD", "dolly", 29.04, 30.25),
        ("openllama2-7b-to-openllama2-3b", "GKD", "super_natural", 34.68, 38.22),
    ],
)
def test_the_bundled_numbers_spread_as_far_as_their_papers(setting, method, column, low, high):
    (found,) = (
        s for s in spreads() if (s.setting_id, s.method, s.column) == (setting, method, column)
    )
    assert (found.low, found.high) == (low, high)

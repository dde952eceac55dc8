"""Every analysis of the reference is registered, with what a list shows of it."""

import pytest

from kdbench.analyses import Analysis, analyses

ANALYSES = (  # those of the reference
    *("teacher_hacking", "recursive", "weak_to_strong", "paradox"),
    *("capacity_gap", "exposure_bias", "seeds", "scaling"),
)


def test_all_analyses_are_registered():
    assert set(ANALYSES) <= set(analyses.names())


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_has_a_question_a_source_and_its_defaults(name):
    kind = analyses.get(name)
    assert issubclass(kind, Analysis)
    assert kind.question.endswith("?")
    assert kind.title
    assert kind.paper
    assert kind.basis
    assert (kind.__doc__ or "").strip()
    made = kind()  # every key has a default
    assert made.train_seeds

"""Every analysis of the reference is registered, with what a list shows of it."""

import pytest

from kdbench.analyses import Analysis, analyses
from kdbench.config import build
from kdbench.errors import InputError

ANALYSES = (  # those of the reference
    *("teacher_hacking", "recursive", "weak_to_strong", "paradox"),
    *("capacity_gap", "exposure_bias", "seeds", "scaling", "budget"),
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


@pytest.mark.parametrize("lacks", ["title", "question", "paper"])
def test_an_analysis_that_lacks_something_is_refused_before_it_trains(lacks):
    facts = {"title": "T", "question": "Q?", "paper": "P", "__module__": __name__}
    del facts[lacks]
    kind = type(Analysis)("Wrong", (Analysis,), facts, group="Wrong")
    with pytest.raises(InputError, match=f"Wrong: {lacks}: is missing"):
        analyses.register("wrong")(kind)
    assert "wrong" not in analyses.names()


@pytest.mark.parametrize("seeds", ["", "1,1", "-3", "2,-1"])
def test_seeds_that_no_table_takes_are_refused_before_a_world_is_made(seeds):
    with pytest.raises(InputError, match="a list of different seeds from 0"):
        build(analyses.get("seeds"), {"train_seeds": seeds})

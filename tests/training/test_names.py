"""Parts without a name of their own are named by their class."""

from dataclasses import dataclass

import pytest

from kdbench.training import Companion, Match, Objective, Schedule, Source, Term, Triple


class Mine(Objective):
    pass


@dataclass(frozen=True)
class Scaled(Objective):
    scale: float = 0.5


@pytest.mark.parametrize("kind", [Objective, Source, Schedule, Companion])
def test_a_part_is_named_by_its_class(kind):
    named = type("Near", (kind,), {})
    assert str(named()) == "Near"


def test_the_log_and_the_card_of_a_resumed_run_have_the_same_names():
    triple = Triple([Term(Match()), Term(Mine(), 0.5), Term(Scaled(), per="group")])
    assert triple.describe()["objective"] == "forward_kl + 0.5 Mine + Scaled(scale=0.5) per group"

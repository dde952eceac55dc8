"""Evolving by rules."""

import random

from kdbench.builders.evolution.forms import AskedPrompt
from kdbench.builders.evolution.operators import OPERATORS
from kdbench.builders.evolution.rules import evolve

LIST, OTHER = AskedPrompt("Sort it.", "b a"), AskedPrompt("Count it.", "d c")
PLAIN = AskedPrompt("Who is Olga?")


def test_each_operator() -> None:
    chance = random.Random(0)
    for operator in ("add_constraint", "deepen", "concretise", "more_reasoning"):
        new = evolve(operator, LIST, [OTHER], chance)
        assert new.text.startswith("Sort it. ")
        assert len(new.text) > len("Sort it. ")
        assert new.given == "b a"
    assert evolve("complicate_input", LIST, [OTHER], chance) == AskedPrompt("Sort it.", "b a d c")
    assert evolve("breadth", LIST, [OTHER], chance) == AskedPrompt("Sort it.", "d c")
    assert evolve("breadth", PLAIN, [OTHER], chance) == OTHER
    assert (
        evolve("complicate_input", PLAIN, [OTHER], chance).whole == "Who is Olga? Count it.\n\nd c"
    )
    assert evolve("breadth", PLAIN, [], chance) == PLAIN


def test_the_draws_decide() -> None:
    many = {
        evolve(operator, LIST, [OTHER, PLAIN], random.Random(seed))
        for operator in OPERATORS
        for seed in range(50)
    }
    assert len(many) == 4 + 3 + 3 + 2 + 2 + 2  # a sentence each, and two other prompts

"""Near texts, against a plain computation of every pair."""

import random

import pytest

from kdbench.builders.overlap.near import (
    NEAR,
    RARE,
    NearTexts,
    Twins,
    equal_pairs,
    near_pairs,
)
from kdbench.builders.overlap.words import normalised, words_of

WORDS = [f"word{number}" for number in range(400)]


def jaccard(one: str, other: str) -> float:
    """The Jaccard index of the word triples of two texts, the plain way."""
    first, second = (
        {tuple(words[start : start + 3]) for start in range(len(words) - 2)}
        for words in (one.split(), other.split())
    )
    return len(first & second) / len(first | second)


def variation(chance: random.Random, text: str, changes: int) -> str:
    words = text.split()
    for _ in range(changes):
        words[chance.randrange(len(words))] = chance.choice(WORDS)
    return " ".join(words)


def test_near_texts_are_those_of_a_search_through_all_pairs() -> None:
    chance = random.Random(0)
    first = [" ".join(chance.choices(WORDS, k=chance.randint(12, 60))) for _ in range(150)]
    second = [variation(chance, text, chance.randint(0, 6)) for text in chance.sample(first, 80)]
    expected = {}
    for place, text in enumerate(second):
        best = max(range(len(first)), key=lambda index: jaccard(first[index], text))
        if jaccard(first[best], text) >= NEAR:
            expected[place] = (best, pytest.approx(jaccard(first[best], text)))
    found = {pair.second: (pair.first, pair.similarity) for pair in near_pairs(first, second)}
    assert found == expected
    assert 20 < len(found) < 80


def test_prompts_of_one_template_are_not_near() -> None:
    template = "Sort these numbers from the smallest to the largest and write them in a row: {} {}"
    first = [template.format(a, b) for a in range(20) for b in range(20)]
    assert jaccard(first[0], first[1]) > NEAR
    assert near_pairs(first, [template.format(3, 77), template.format(88, 3)]) == []


def test_equal_texts_are_equal_without_case_punctuation_and_spaces() -> None:
    assert normalised("Who, me?\n Yes!") == "who me yes"
    assert normalised("北京 is") == "北 京 is"
    assert normalised("Cafe\u0301 ﬁsh x\u00ady ＡＢ __z__") == "café fish xy ab z"
    assert equal_pairs(["?!", "\U0001f600"], ["?!", "\U0001f389"]) == [Twins(0, 0, 1.0)]
    (pair,) = equal_pairs(["a", "What is it?"], ["what IS it", "b"])
    assert (pair.first, pair.second) == (1, 0)
    assert equal_pairs([], ["a"]) == []
    assert near_pairs([], []) == []


def test_memory_does_not_grow_with_the_stream() -> None:
    template = "Sort these numbers from the smallest to the largest and write them in a row: {} {}"
    index = NearTexts([words_of(template.format(3, 77))])
    for number in range(500):
        index.see(number, words_of(template.format(number, number + 1)))
    assert len(index._candidates) <= RARE
    assert max(map(len, index._seen.values())) == RARE + 1
    assert list(index.pairs()) == []

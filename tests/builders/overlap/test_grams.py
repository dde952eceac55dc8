"""Shared runs of words, against a plain search through all pairs, and by hand."""

import random
from collections import Counter

import pytest

from kdbench.builders.overlap.grams import SharedRun, SharedRuns

WORDS = [f"w{number}" for number in range(60)]


def runs(stream: list[str], few: list[str], length: int = 13, common: int = 10) -> list[SharedRun]:
    index = SharedRuns([text.split() for text in few], length, common)
    for place, text in enumerate(stream):
        index.see(place, text.split())
    return list(index.runs())


def plain(
    stream: list[str], few: list[str], length: int, common: int
) -> dict[tuple[int, int], float]:
    """The share of each pair of texts, the plain way."""
    texts = [text.split() for text in few]

    def grams(words: list[str], size: int) -> list[tuple[str, ...]]:
        return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]

    sizes = [min(length, len(words)) for words in texts]
    held = Counter(g for words, n in zip(texts, sizes, strict=True) for g in set(grams(words, n)))
    seen = {gram: sum(gram in grams(t.split(), len(gram)) for t in stream) for gram in held}
    found = {}
    for place, text in enumerate(stream):
        words = text.split()
        for index, (few_words, size) in enumerate(zip(texts, sizes, strict=True)):
            if size < min(8, length):
                continue
            if tuple(few_words) in grams(words, len(few_words)):
                found[place, index] = 1.0
                continue
            covered: set[int] = set()
            for start, gram in enumerate(grams(few_words, size)):
                shared = gram in grams(words, size)
                if shared and held[gram] <= common and seen[gram] <= common:
                    covered.update(range(start, start + size))
            if covered:
                found[place, index] = len(covered) / len(few_words)
    return found


@pytest.mark.parametrize(("length", "common"), [(13, 10), (9, 2), (4, 3)])
def test_runs_are_those_of_a_search_through_all_pairs(length: int, common: int) -> None:
    chance = random.Random(length)
    few = [" ".join(chance.choices(WORDS, k=chance.randint(2, 40))) for _ in range(25)]
    few += [f"{few[0]} {few[1]}", few[2]]

    def piece() -> str:
        words = chance.choice(few).split()
        start = chance.randrange(len(words))
        return " ".join(words[start : start + chance.randint(1, 30)])

    stream = [
        " ".join(piece() if chance.random() < 0.6 else chance.choice(WORDS) for _ in range(3))
        for _ in range(120)
    ]
    found = {(r.first, r.second): r.share for r in runs(stream, few, length, common)}
    assert found == pytest.approx(plain(stream, few, length, common))
    assert {share for share in found.values() if share < 1}


def test_by_hand() -> None:
    text = "a b c d e f g h i j k l m n o p q r s t"  # 20 words
    # Words 2 to 15 hold two runs of 13, which together cover 14 of the 20 words.
    (run,) = runs(["x b c d e f g h i j k l m n o y"], [text])
    assert (run.share, run.run) == (0.7, "b c d e f g h i j k l m n")
    assert runs(["x b c d e f g h i j k l m y"], [text]) == []  # twelve words
    # A text of eight words is one run, and one of seven is none.
    assert runs(["x a b c d e f g h y"], ["a b c d e f g h"])[0].share == 1
    assert runs(["x a b c d e f g y"], ["a b c d e f g"]) == []


def test_what_many_rows_say_shows_nothing_but_whole_texts_do() -> None:
    opening = " ".join(WORDS[:13])
    test = f"{opening} {' '.join(WORDS[20:30])}"
    rows = [f"{opening} other{number}" for number in range(11)]
    assert len(runs(rows[:10], [test])) == 10
    assert runs(rows, [test]) == []
    assert [run.first for run in runs([*rows, *[f"x {test} y"] * 20], [test])] == [*range(11, 31)]


def test_the_wording_of_a_task_shows_nothing() -> None:
    opening = " ".join(WORDS[:13])
    tests = [f"{opening} q{number}" for number in range(11)]
    assert [run.second for run in runs([f"{opening} mine"], tests[:10])] == [*range(10)]
    assert runs([f"{opening} mine"], tests) == []
    assert [run.second for run in runs([f"{opening} q3"], tests)] == [3]

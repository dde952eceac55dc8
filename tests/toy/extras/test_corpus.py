"""The corpus with noise and repeats."""

import random
from collections import Counter

import pytest

from kdbench.toy.extras.corpus import NOISE, REPEATS, _mixed


def test_each_text_stays_or_gives_its_place_to_noise_or_a_repeat():
    texts = [f"Sort the list of {number} cats and dogs" for number in range(3000)]
    mixed = list(_mixed(texts, random.Random(0)))
    counts = Counter(kind for kind, _ in mixed)
    assert len(mixed) == len(texts)
    assert counts["noise"] / 3000 == pytest.approx(NOISE, abs=0.03)
    assert counts["repeat"] / 3000 == pytest.approx(REPEATS, abs=0.03)
    for (kind, text), original in zip(mixed, texts, strict=True):
        words = text.split()
        if kind == "text":
            assert text == original
        elif kind == "repeat":
            assert len(set(words)) == 1 < len(words)
        else:
            assert len(set(words)) > len(words) / 2
            assert not set(words) & {"Sort", "list", "cats", "dogs"}

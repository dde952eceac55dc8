"""The incremental n-gram rule bans what transformers' processor bans."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import NoRepeatNGramLogitsProcessor

from kdbench.generate.row.ngram import SeenNGrams


@given(st.integers(1, 6), st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 40))
def test_same_bans_as_transformers(size: int, tokens: list[int], prompt: int) -> None:
    seen = SeenNGrams(size, tokens[:prompt])
    for token in tokens[prompt:]:
        seen.append(token)
    scores = NoRepeatNGramLogitsProcessor(size)(torch.tensor([tokens]), torch.zeros(1, 4))
    assert seen.banned() == set(torch.isinf(scores[0]).nonzero().flatten().tolist())


def test_size_zero_bans_nothing() -> None:
    seen = SeenNGrams(0, [1, 1, 1, 1])
    seen.append(1)
    assert seen.banned() == set()

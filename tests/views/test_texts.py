"""Reference tokens, and the composition of batches of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.views import batches_by_length, reference_tokens


@given(st.lists(st.integers(1, 9000), max_size=80))
def test_every_text_is_in_one_batch_of_a_bounded_number_of_tokens(lengths: list[int]) -> None:
    texts = list(range(len(lengths)))
    batches = batches_by_length(texts, lengths)
    assert sorted(text for batch in batches for text in batch) == texts
    for batch in batches:
        longest = max(lengths[text] for text in batch)
        assert len(batch) == 1 or len(batch) * longest <= 4096
    flat = [lengths[text] for batch in batches for text in batch]
    assert flat == sorted(lengths, reverse=True)


def test_batches_are_full_and_ties_keep_their_order() -> None:
    assert batches_by_length("abcde", [2048, 1, 2048, 1, 1365]) == [["a", "c"], ["e", "b", "d"]]
    assert batches_by_length("abc", [5000, 4096, 1]) == [["a"], ["b"], ["c"]]
    assert batches_by_length([], []) == []


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40), st.randoms())
def test_the_order_of_the_texts_does_not_change_the_lengths_of_a_batch(
    lengths: list[int], chance: object
) -> None:
    def shapes(given: list[int]) -> list[list[int]]:
        batches = batches_by_length(range(len(given)), given)
        return [[given[index] for index in batch] for batch in batches]

    shuffled = list(lengths)
    chance.shuffle(shuffled)
    assert shapes(shuffled) == shapes(lengths)


class Letters:
    eos_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) for letter in text]}


@pytest.mark.parametrize(
    ("limit", "expected"), [(9, [97, 98, 0]), (3, [97, 98, 0]), (2, [97, 98]), (1, [97])]
)
def test_a_reference_has_an_end_token_unless_the_limit_cuts_it(
    limit: int, expected: list[int]
) -> None:
    assert reference_tokens(Letters(), "ab", limit) == expected


def test_an_empty_reference_is_only_its_end_token() -> None:
    assert reference_tokens(Letters(), "", 5) == [0]

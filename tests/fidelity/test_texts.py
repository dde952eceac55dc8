"""The responses and tokens that both models can score."""

from dataclasses import dataclass

import pytest

from kdbench.fidelity.texts import (
    REFERENCE_SEED,
    ComparedText,
    reference_texts,
    sampled_texts,
    shared_texts,
)
from kdbench.generate import Prompt, Sample
from kdbench.task import Document
from kdbench.views import Rollout, SharedTokens

EOS, ITS_EOS = 1, 2
ENDS = frozenset({EOS, ITS_EOS})
PROMPTS = {"a": Prompt((5, 6), False), "b": Prompt((7,), False)}


@dataclass
class Letters:
    """A token for each letter."""

    eos_token_id: int = EOS

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) - ord("a") + 10 for letter in text]}


def document(name: str, *references: str) -> Document:
    return Document(id=name, prompt="", message="", references=references, fields={})


def text(*response: int, document: str = "a", seed: int = 0) -> ComparedText:
    return ComparedText(seed, Rollout(document, PROMPTS[document].ids, response, "student"))


def responses(texts: list[ComparedText]) -> list[tuple[int, ...]]:
    return [text.rollout.response_ids for text in texts]


def test_the_first_reference_with_its_end_is_scored() -> None:
    documents = [document("a", "abc", "xyz"), document("b", "c")]
    texts = reference_texts(documents, PROMPTS, Letters(), limit=9)
    assert responses(texts) == [(10, 11, 12, EOS), (12, EOS)]
    assert [text.key for text in texts] == [("a", REFERENCE_SEED), ("b", REFERENCE_SEED)]
    assert [text.rollout.prompt_ids for text in texts] == [(5, 6), (7,)]
    assert {text.rollout.origin for text in texts} == {"dataset"}


@pytest.mark.parametrize(("limit", "kept"), [(2, (10, 11)), (3, (10, 11, 12))])
def test_a_reference_that_the_limit_cuts_has_no_end(limit: int, kept: tuple[int, ...]) -> None:
    (compared,) = reference_texts([document("a", "abc")], PROMPTS, Letters(), limit)
    assert compared.rollout.response_ids == kept


def test_a_sample_is_scored_by_its_own_tokens() -> None:
    """The tokens that its text encodes to may be different."""
    sample = Sample("b", 20, "abc", 2, "stop", tokens=(40, 41, EOS))
    (compared,) = sampled_texts([sample], PROMPTS, Letters(), "teacher")
    assert compared.rollout == Rollout("b", (7,), (40, 41, EOS), "teacher")
    assert compared.key == ("b", 20)


@pytest.mark.parametrize(("finish", "end"), [("stop", (EOS,)), ("length", ()), (None, ())], ids=str)
def test_a_sample_without_stored_tokens_is_encoded_again(finish: str, end: tuple[int, ...]) -> None:
    sample = Sample("a", 1, "ab", 2, finish)
    (compared,) = sampled_texts([sample], PROMPTS, Letters(), "student")
    assert compared.rollout.response_ids == (10, 11, *end)


def test_a_shared_end_token_is_scored() -> None:
    texts = [text(10, 11, EOS), text(EOS), text(10)]
    assert shared_texts(texts, SharedTokens(99, True), ENDS) == texts


def test_different_end_tokens_are_not_scored() -> None:
    texts = [text(10, 11, EOS), text(10, ITS_EOS), text(10, 11)]
    kept = shared_texts(texts, SharedTokens(99, False), ENDS)
    assert responses(kept) == [(10, 11), (10,), (10, 11)]
    assert [text.key for text in kept] == [text.key for text in texts]


def test_only_the_last_token_is_an_end() -> None:
    (compared,) = shared_texts([text(EOS, 10, EOS)], SharedTokens(99, False), ENDS)
    assert compared.rollout.response_ids == (EOS, 10)


def test_a_response_without_positions_is_left_out() -> None:
    texts = [text(EOS), text(10, EOS), text()]
    kept = shared_texts(texts, SharedTokens(99, False), ENDS)
    assert responses(kept) == [(10,)]
    assert shared_texts([text()], SharedTokens(99, True), ENDS) == []


def test_a_text_with_an_unshared_token_is_left_out() -> None:
    texts = [text(10, 50, 11, seed=1), text(10, 49, seed=2), text(51, seed=3)]
    kept = shared_texts(texts, SharedTokens(50, True), ENDS)
    assert [text.seed for text in kept] == [2]


def test_each_model_reads_its_own_prompt_which_is_not_scored() -> None:
    compared = ComparedText(0, Rollout("a", (5, 60), (10,), "student"))
    assert shared_texts([compared], SharedTokens(50, True), ENDS) == [compared]

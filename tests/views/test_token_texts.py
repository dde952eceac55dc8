"""Tokens are shown by their texts, visibly separated, and by their ids."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kdbench.toy.models import World
from kdbench.views.token_texts import BETWEEN, token_lines, token_text


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def test_the_texts_of_all_tokens_make_the_text(tokenizer: Any) -> None:
    text = "Name 3 pets:\ncat, dog"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens, numbers = token_lines(tokenizer, ids)
    assert tokens.replace(BETWEEN, "").replace("\\n", "\n") == text
    assert tokens.count(BETWEEN) == len(ids) - 1
    assert [int(number) for number in numbers.split()] == ids


def test_special_tokens_and_parts_of_characters_are_named(tokenizer: Any) -> None:
    assert token_text(tokenizer, tokenizer.eos_token_id) == "<|eos|>"
    parts = tokenizer("京", add_special_tokens=False)["input_ids"]
    assert len(parts) > 1
    names = tokenizer.convert_ids_to_tokens(parts)
    assert [token_text(tokenizer, part) for part in parts] == names


def test_a_sentencepiece_token_keeps_its_space() -> None:
    inner = Tokenizer(models.WordLevel({"▁is": 0, "<unk>": 1}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    assert token_text(PreTrainedTokenizerFast(tokenizer_object=inner), 0) == " is"


def test_the_middle_of_many_tokens_is_left_out(tokenizer: Any) -> None:
    tokens, numbers = token_lines(tokenizer, [5] * 60 + [6] * 40)
    assert numbers == " ".join([*["5"] * 48, "… 28 more …", *["6"] * 24])
    assert "… 28 more …" in tokens

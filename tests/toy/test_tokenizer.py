"""The toy tokenizer: lossless, small, deterministic, and readable by the usual loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from kdbench.toy.corpus import alpaca_prompt, write_corpus
from kdbench.toy.tokenizer import TEMPLATE_PIECES, build_tokenizer

LONGEST_PROMPT, LONGEST_RESPONSE, LONGEST_VICUNA_RESPONSE = 200, 64, 120


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    write_corpus(directory, train=2000)
    return directory


@pytest.fixture(scope="module")
def tokenizer(data: Path) -> Any:
    return build_tokenizer(data)


def test_vocabulary_is_small_and_special_tokens_are_distinct(tokenizer: Any) -> None:
    assert len(tokenizer) <= 512
    special = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token]
    assert special == ["<|bos|>", "<|eos|>", "<|pad|>"]
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert len(set(ids)) == 3
    assert max(tokenizer.get_vocab().values()) < len(tokenizer)


@given(text=st.text() | st.lists(st.sampled_from((*TEMPLATE_PIECES, " ", "Anna"))).map("".join))
def test_any_text_survives(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_nothing_is_added_to_a_text(tokenizer: Any) -> None:
    assert tokenizer("").input_ids == []
    assert tokenizer.eos_token_id not in tokenizer("Anna has a cat.").input_ids


def test_prompt_and_response_encode_separately_as_together(data: Path, tokenizer: Any) -> None:
    for line in (data / "dolly/test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt, response = alpaca_prompt(row["instruction"], row["input"]), row["output"][0]
        apart = tokenizer(prompt).input_ids + tokenizer(response).input_ids
        assert apart == tokenizer(prompt + response).input_ids


def test_rows_do_not_exceed_the_stated_length(data: Path, tokenizer: Any) -> None:
    for path in data.rglob("*.jsonl"):
        limit = LONGEST_VICUNA_RESPONSE if path.parent.name == "vicuna" else LONGEST_RESPONSE
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            prompt = alpaca_prompt(row["instruction"], row["input"])
            assert len(tokenizer(prompt).input_ids) <= LONGEST_PROMPT
            assert all(len(tokenizer(text).input_ids) <= limit for text in row["output"])


def test_same_corpus_gives_the_same_tokenizer(data: Path, tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path / "one")
    build_tokenizer(data).save_pretrained(tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_saved_tokenizer_is_read_back_unchanged(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = alpaca_prompt("Où est Ánna?\t", "x  y\n") + "<|eos|> 🙂"
    assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.decode(loaded(text).input_ids) == text
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.chat_template == tokenizer.chat_template
    assert (loaded.eos_token_id, loaded.pad_token_id) == (
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )


def test_chat_template_renders_turns_and_generation_prompt(tokenizer: Any) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "More"},
    ]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "### Instruction:\nHi\n\n### Response:\nYes<|eos|>### Instruction:\nMore\n\n### Response:\n"
    )
    closed = tokenizer.apply_chat_template(turns[:2], tokenize=False)
    assert closed == "### Instruction:\nHi\n\n### Response:\nYes<|eos|>"


def test_missing_corpus_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build_tokenizer(tmp_path)

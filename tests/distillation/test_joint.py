"""Prompt and response are tokenized as one text, with tokenizers for which that matters."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kdbench.distillation.data import SetFile, load_set
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.identity import Identity, check_identity
from kdbench.distillation.joint import joint_tokens
from kdbench.distillation.prompts import PLAIN
from kdbench.distillation.rows import training_rows
from kdbench.errors import InputError
from kdbench.toy.models import World
from kdbench.views.rollout import of_dataset

ROOMY = Lengths(256, 512, "drop")


class Slow:
    """A tokenizer without offsets."""

    is_fast = False

    def __init__(self, tokenizer: Any):
        self.encode = tokenizer

    def __call__(self, text: str, add_special_tokens: bool) -> Any:
        return self.encode(text, add_special_tokens=add_special_tokens)


def fast(tokens: list[str], merges: list[tuple[str, str]], bytes_: bool) -> Any:
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *tokens])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    if bytes_:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:  # as Llama's: a space before every text, and spaces written as ▁
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    merges = [("▁", "Q"), ("▁", "y"), ("e", "s"), ("▁y", "es"), ("y", "es")]
    letters = ["Q", ":", "\n", "▁", "y", "e", "s"]
    return fast([*letters, *(a + b for a, b in merges)], merges, bytes_=False)


@pytest.fixture(scope="module")
def merging() -> Any:
    merges = [("b", "c"), ("bc", "d"), ("a", "b")]
    return fast(["a", "b", "c", "d", "e", *(a + b for a, b in merges)], merges, bytes_=True)


def tokens(tokenizer: Any, ids: Any) -> list[str]:
    return tokenizer.convert_ids_to_tokens(list(ids))


def test_a_response_does_not_begin_with_the_space_that_sentencepiece_adds(
    sentencepiece: Any,
) -> None:
    prompt, response = "Q:\n", "yes"
    pieces = joint_tokens(sentencepiece, prompt, response)
    assert tokens(sentencepiece, pieces.context) == ["▁Q", ":", "\n"]
    assert tokens(sentencepiece, pieces.response) == ["yes"]  # alone it is ▁yes
    alone = sentencepiece(response, add_special_tokens=False)["input_ids"]
    assert tokens(sentencepiece, alone) == ["▁yes"]
    assert pieces.is_joint
    # The formula of MiniLLM's process_data_dolly.py.
    full = sentencepiece.encode(prompt + response, add_special_tokens=False)
    asked = sentencepiece.encode(prompt, add_special_tokens=False)
    assert list(pieces.response) == full[len(asked) :]


@pytest.mark.parametrize(
    ("prompt", "response", "context", "learned", "is_joint"),
    [
        ("eb", "cde", ["e"], ["bcd", "e"], True),  # b is merged with the response
        ("ea", "e", ["e", "a"], ["e"], False),
        ("eab", "c", ["e", "a"], ["bc"], True),  # ab is split for it: its a is the prompt's alone
        ("e", "", ["e"], [], False),
        ("b", "c", ["b"], ["c"], False),  # no token would be left of the prompt
    ],
)
def test_the_response_begins_with_the_first_token_that_holds_any_of_it(
    merging: Any, prompt: str, response: str, context: list[str], learned: list[str], is_joint: bool
) -> None:
    pieces = joint_tokens(merging, prompt, response)
    assert tokens(merging, pieces.context) == context
    assert tokens(merging, pieces.response) == learned
    assert pieces.is_joint == is_joint


def test_a_tokenizer_without_offsets_learns_all_tokens_that_are_not_the_prompts(
    merging: Any,
) -> None:
    for prompt, response, learned in (("eb", "cde", ["bcd", "e"]), ("eab", "c", ["a", "bc"])):
        pieces = joint_tokens(Slow(merging), prompt, response)
        assert tokens(merging, pieces.response) == learned


def test_the_prompt_of_rollouts_is_the_one_that_evaluation_asks(merging: Any) -> None:
    (row,) = training_rows({"id": "a", "prompt": "eb", "response": ["cde"]})
    encoded = Encoder(merging, PLAIN, ROOMY).encode(row)
    assert encoded is not None
    example, end = encoded.example, merging.eos_token_id
    assert tokens(merging, example.prompt_ids) == ["e", "b"]
    assert tokens(merging, example.context) == ["e"]
    assert tokens(merging, example.response_ids) == ["bcd", "e", "</s>"]
    assert example.response_ids[-1] == end
    assert of_dataset(example).prompt_ids == example.context


def test_byte_level_tokens_are_those_of_two_texts(world: World) -> None:
    """As with GPT-2 and SmolLM2: no row of earlier runs has other tokens now."""
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    data = load_set(SetFile(world.data, "dolly", "train"), Encoder(tokenizer, PLAIN, ROOMY))
    assert data.joint == 0
    assert data.identity.keys() == {"rows", "dropped", "sha256"}
    for row, example in zip(data.rows, data.examples, strict=True):
        two = [
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (row.prompt, row.references[0])
        ]
        assert list(example.prompt_ids) == two[0]
        assert list(example.response_ids) == [*two[1], tokenizer.eos_token_id]
        assert example.context_ids is None


def test_the_identity_names_the_tokenization_where_it_matters(
    sentencepiece: Any, tmp_path: Any
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"prompt": "Q:\\n", "response": "yes"}\n')
    file = SetFile(tmp_path, "mine", "train", "text")
    data = load_set(file, Encoder(sentencepiece, PLAIN, ROOMY))
    assert data.joint == 1
    assert data.identity["tokenization"] == "joint"
    same: dict[str, Any] = {"settings": {}, "parameters": {}, "student": {}, "teacher": None}
    earlier = {key: value for key, value in data.identity.items() if key != "tokenization"}
    stored = Identity.model_validate({**same, "data": {"train": earlier}})
    with pytest.raises(InputError, match=r"different data train tokenization \(was None, is joint"):
        check_identity(stored, {**same, "data": {"train": data.identity}}, {}, tmp_path)

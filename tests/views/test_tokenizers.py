"""Student and teacher need the same tokenizer; an error line names the difference."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from kdbench.errors import InputError
from kdbench.toy.models import World
from kdbench.views.tokenizers import (
    SharedTokens,
    common_vocabulary,
    set_end_token,
    shared_tokens,
    vocabulary_size,
)


def changed(world: World, folder: Path, change: Callable[[dict[str, Any]], None]) -> Any:
    """The toy tokenizer with another tokenizer.json."""
    shutil.copytree(world.student, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    content = json.loads((folder / "tokenizer.json").read_text())
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokenizer(world: World) -> Any:
    return AutoTokenizer.from_pretrained(world.student)


def difference(student: Any, teacher: Any) -> str:
    with pytest.raises(InputError) as error:
        common_vocabulary(student, teacher, "gkd")
    line = str(error.value)
    assert "\n" not in line
    assert "method=gkd" in line
    return line


def swap(content: dict[str, Any]) -> None:
    """Swap two tokens that take part in no merge."""
    vocabulary = content["model"]["vocab"]
    vocabulary["!"], vocabulary['"'] = vocabulary['"'], vocabulary["!"]


def without_merges(content: dict[str, Any]) -> None:
    content["model"]["merges"] = []


def test_the_same_tokenizer_passes(tokenizer: Any, world: World) -> None:
    size = len(tokenizer)
    teacher = AutoTokenizer.from_pretrained(world.teacher)
    assert common_vocabulary(tokenizer, teacher, "gkd") == size
    assert common_vocabulary(tokenizer, tokenizer, "gkd") == size


def test_changes_that_keep_the_tokens_pass(tokenizer: Any, world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path / "other", lambda content: content.update(padding=None))
    other.chat_template = "{{ messages }}"
    other.padding_side = "left"
    assert common_vocabulary(tokenizer, other, "gkd") == len(tokenizer)


def test_tokens_after_the_shared_ones_are_left_out(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    """As in evaluation: a chat model has more tokens than its base model."""
    other = changed(world, tmp_path / "other", lambda content: None)
    other.add_tokens(["<one>", "<two>"])
    assert common_vocabulary(tokenizer, other, "gkd") == len(tokenizer)
    assert common_vocabulary(other, tokenizer, "gkd") == len(tokenizer)


def test_a_token_with_a_different_id_is_reported(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    other = changed(world, tmp_path / "other", swap)
    ids = tokenizer.get_vocab()
    quote = '"'
    assert f"('!' is {ids['!']} and {ids[quote]})" in difference(tokenizer, other)


def test_a_token_unknown_to_the_teacher_is_reported(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    ours, its = (changed(world, tmp_path / name, lambda content: None) for name in "ab")
    ours.add_tokens(["<ours>"])
    its.add_tokens(["<its>"])
    assert f"('<ours>' is {len(tokenizer)} and unknown)" in difference(ours, its)


def test_a_different_end_token_is_reported(tokenizer: Any, world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path / "other", lambda content: None)
    other.eos_token = other.pad_token
    with pytest.raises(InputError, match="choose the one that the student learns by end_token="):
        common_vocabulary(tokenizer, other, "gkd")
    assert common_vocabulary(tokenizer, other, "gkd", any_end=True) == len(tokenizer)
    set_end_token(tokenizer_copy := changed(world, tmp_path / "b", lambda _: None), other.pad_token)
    assert common_vocabulary(tokenizer_copy, other, "gkd") == len(tokenizer)
    with pytest.raises(InputError, match="end_token=<none>: not a token"):
        set_end_token(tokenizer_copy, "<none>")


def test_different_merges_are_reported(tokenizer: Any, world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path / "other", without_merges)
    assert other.get_vocab() == tokenizer.get_vocab()
    assert "the same vocabulary, other merges" in difference(tokenizer, other)


def test_the_message_suggests_an_alternative(tokenizer: Any, world: World, tmp_path: Path) -> None:
    line = difference(tokenizer, changed(world, tmp_path / "other", without_merges))
    assert "use method=seqkd without kd_ratio=" in line
    assert line.startswith("student and teacher have different tokenizers")
    other = AutoTokenizer.from_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="leave out kd_ratio=, or take a student"):
        common_vocabulary(tokenizer, other, "seqkd")


def with_holes(content: dict[str, Any]) -> None:
    """The last token of the vocabulary has a far larger id."""
    vocabulary = content["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] = 600


def test_the_vocabulary_ends_at_the_largest_id(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    assert vocabulary_size(tokenizer) == len(tokenizer)
    other = changed(world, tmp_path / "other", with_holes)
    assert len(other) == len(tokenizer)
    assert vocabulary_size(other) == 601


# What two tokenizers share, for metrics


def test_the_same_tokenizer_shares_all_its_tokens(tokenizer: Any, world: World) -> None:
    teacher = AutoTokenizer.from_pretrained(world.teacher)
    assert shared_tokens(tokenizer, teacher) == SharedTokens(len(tokenizer), True)


def test_extra_tokens_of_one_tokenizer_are_not_shared(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    other = changed(world, tmp_path / "other", lambda content: None)
    other.add_tokens(["<one>", "<two>"])
    expected = SharedTokens(len(tokenizer), True)
    assert shared_tokens(tokenizer, other) == expected
    assert shared_tokens(other, tokenizer) == expected


def test_extra_tokens_on_both_sides_are_incompatible(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    ours, its = (changed(world, tmp_path / name, lambda content: None) for name in "ab")
    ours.add_tokens(["<ours>"])
    its.add_tokens(["<its>", "<more>"])
    for pair in ((ours, its), (its, ours)):
        shared = shared_tokens(*pair)
        assert shared.size == 0
        assert shared.difference


def test_a_token_with_a_different_id_is_incompatible(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    other = changed(world, tmp_path / "other", swap)
    ids = tokenizer.get_vocab()
    shared = shared_tokens(tokenizer, other)
    quote = '"'
    assert shared == SharedTokens(0, True, f"'!' is {ids['!']} and {ids[quote]}")
    other.add_tokens(["<more>"])
    assert shared_tokens(tokenizer, other).size == 0
    assert shared_tokens(other, tokenizer).size == 0


def test_different_merges_are_incompatible(tokenizer: Any, world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path / "other", without_merges)
    expected = SharedTokens(0, True, "the same vocabulary, other merges")
    assert shared_tokens(tokenizer, other) == expected
    other.add_tokens(["<more>"])
    assert shared_tokens(other, tokenizer).size == 0


def test_a_different_end_token_is_reported_but_compatible(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    other = changed(world, tmp_path / "other", lambda content: None)
    other.eos_token = other.pad_token
    assert shared_tokens(tokenizer, other) == SharedTokens(len(tokenizer), False)
    other.add_tokens(["<end>"])
    other.eos_token = "<end>"
    for pair in ((tokenizer, other), (other, tokenizer)):
        assert shared_tokens(*pair) == SharedTokens(len(tokenizer), False)


def test_an_extra_token_that_changes_the_splitting_is_incompatible(
    tokenizer: Any, world: World, tmp_path: Path
) -> None:
    other = changed(world, tmp_path / "other", lambda content: None)
    other.add_tokens(["cats"])
    assert shared_tokens(tokenizer, other).difference == "the same vocabulary, other merges"

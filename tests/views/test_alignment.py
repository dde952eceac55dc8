"""Two tokenizations of one text: where they meet, and what they share."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kdbench.views.alignment import (
    align,
    classes_of,
    joint_ids,
    token_classes,
)
from kdbench.views.token_text import byte_lengths, token_starts, token_texts


def bytes_tokenizer(merges: Sequence[tuple[str, str]], end: str = "<end>") -> Any:
    """A byte-level tokenizer whose vocabulary is all bytes and some merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end)


def pieces_tokenizer(words: Sequence[str]) -> Any:
    """A tokenizer of SentencePiece's kind, with bytes for what it lacks."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    tokenizer = Tokenizer(
        models.Unigram([(token, -1.0) for token in tokens], unk_id=0, byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


LETTERS = bytes_tokenizer([])
PAIRS = bytes_tokenizer([("a", "b"), ("b", "c"), ("ab", "c")], end="<stop>")
PIECES = pieces_tokenizer(["ab", "▁ab", "c", "▁", "a", "b"])


def test_tokens_have_their_text() -> None:
    texts = token_texts(PAIRS)
    assert texts[PAIRS.convert_tokens_to_ids("abc")] == b"abc"
    assert texts[PAIRS.convert_tokens_to_ids("Ġ")] == b" "
    assert texts[PAIRS.eos_token_id] == "<stop>"
    assert sorted(text for text in token_texts(LETTERS) if isinstance(text, bytes)) == [
        bytes([byte]) for byte in range(256)
    ]
    pieces = token_texts(PIECES)
    assert pieces[PIECES.convert_tokens_to_ids("▁ab")] == b" ab"
    assert pieces[PIECES.convert_tokens_to_ids("<0x0A>")] == b"\n"


@given(st.text(alphabet="abc é北🙂\n", max_size=20))
@settings(deadline=None)
def test_the_bytes_of_the_tokens_are_those_of_the_text(text: str) -> None:
    for tokenizer in (LETTERS, PAIRS, PIECES):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        lengths = byte_lengths(tokenizer, {tokenizer.eos_token_id})
        assert sum(lengths[number] for number in ids) == len(text.encode())
        assert lengths[tokenizer.eos_token_id] == -1


@given(st.text(alphabet="abc é北🙂", max_size=16), st.booleans())
@settings(deadline=None)
def test_tokens_meet_where_both_have_written_the_same_text(text: str, ended: bool) -> None:
    for student, teacher in ((LETTERS, PAIRS), (PAIRS, LETTERS), (PAIRS, PIECES)):
        ids = student(text, add_special_tokens=False)["input_ids"]
        response = [*ids, student.eos_token_id] if ended else ids
        if not response:
            continue
        alignment = align(student, teacher, response, frozenset({student.eos_token_id}))
        read = alignment.teacher_response
        assert (teacher.eos_token_id in read) == ended
        assert teacher.decode([token for token in read if token != teacher.eos_token_id]) == text
        for place, meeting in enumerate(alignment.meeting):
            if meeting is not None:
                assert student.decode(response[:place]) == teacher.decode(read[:meeting])
        # Each character that both begin is a meeting, and groups cover the text once.
        assert alignment.meeting[0] == 0
        assert [stop for _, stop in alignment.groups()][-1] == len(read)
        starts, stops = zip(*alignment.groups(), strict=True)
        assert starts[1:] == stops[:-1]


def test_a_token_inside_a_character_begins_nowhere() -> None:
    ids = LETTERS("é!", add_special_tokens=False)["input_ids"]
    assert token_starts(LETTERS, ids) == ("é!", [0, None, 2])


def test_a_space_that_the_teacher_adds_is_no_place_in_the_text() -> None:
    tokenizer = Tokenizer.from_str(PAIRS.backend_tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    spaced = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<stop>")
    response = LETTERS("cab c", add_special_tokens=False)["input_ids"]
    alignment = align(LETTERS, spaced, response, frozenset())
    read = spaced.convert_ids_to_tokens(list(alignment.teacher_response))
    assert read == ["Ġ", "c", "ab", "Ġ", "c"]
    assert alignment.meeting == (0, 2, None, 3, 4)


def test_nothing_meets_after_a_place_where_the_teacher_reads_another_text() -> None:
    tokenizer = Tokenizer.from_str(LETTERS.backend_tokenizer.to_str())
    tokenizer.normalizer = normalizers.Replace("b", "abc")
    other = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<stop>")
    response = LETTERS("abac", add_special_tokens=False)["input_ids"]
    assert align(LETTERS, other, response, frozenset()).meeting == (0, 1, None, None)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=8), st.booleans())
@settings(deadline=None)
def test_broken_characters_meet_in_order(content: list[int], ended: bool) -> None:
    names = [f"<0x{byte:02X}>" for byte in content]
    ids = PIECES.convert_tokens_to_ids(names) + [PIECES.eos_token_id] * ended
    for teacher in (PIECES, LETTERS):
        alignment = align(PIECES, teacher, ids, frozenset({PIECES.eos_token_id}))
        assert alignment.meeting[0] == 0
        assert all(start < stop for start, stop in alignment.groups())


def test_letters_meet_only_where_a_pair_begins() -> None:
    response = LETTERS("abcab", add_special_tokens=False)["input_ids"]
    alignment = align(LETTERS, PAIRS, response, frozenset())
    assert PAIRS.convert_ids_to_tokens(list(alignment.teacher_response)) == ["abc", "ab"]
    assert alignment.meeting == (0, None, None, 1, None)
    assert alignment.groups() == [(0, 1), (1, 2)]


def test_shared_tokens_are_those_of_equal_text_and_the_ends() -> None:
    classes = token_classes(LETTERS, PAIRS)
    assert len(classes.student_ids) == 257  # the bytes and the end
    assert (classes.student_has_rest, classes.teacher_has_rest) == (False, True)
    assert not classes.has_rest
    pairs = dict(zip(classes.student_ids, classes.teacher_ids, strict=True))
    assert pairs[LETTERS.eos_token_id] == PAIRS.eos_token_id
    assert token_classes(PAIRS, PIECES).has_rest


def test_joint_ids_are_equal_for_shared_tokens_alone() -> None:
    classes = token_classes(PAIRS, PIECES)
    ids = joint_ids(classes)
    ours, theirs = ids["student"].tolist(), ids["teacher"].tolist()
    assert len(set(ours)) == len(ours)
    assert set(ours) & set(theirs) == {ours[token] for token in classes.student_ids}
    for student, teacher in zip(classes.student_ids, classes.teacher_ids, strict=True):
        assert ours[student] == theirs[teacher]


def test_classes_by_hand() -> None:
    """`seeds.md` 8.4, the bucketed comparison: JSD .033472."""
    from kdbench.divergence import generalised_jsd

    p, q = torch.tensor([[0.6, 0.3, 0.1]]).log(), torch.tensor([[0.5, 0.2, 0.3]]).log()
    log_p, cut = classes_of(p, torch.tensor([0, 1]), has_rest=True)
    log_q, _ = classes_of(q, torch.tensor([0, 1]), has_rest=True)
    assert float(cut) == pytest.approx(0.1)
    assert float(generalised_jsd(log_p, log_q)) == pytest.approx(0.033472, abs=1e-6)
    shared, _ = classes_of(p, torch.tensor([0, 1]), has_rest=False)
    assert shared.exp().tolist()[0] == pytest.approx([2 / 3, 1 / 3])
    assert math.isclose(float(log_p.exp().sum()), 1, rel_tol=1e-6)

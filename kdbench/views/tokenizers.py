"""The vocabulary of a tokenizer, and whether student and teacher have the same tokens."""

from dataclasses import dataclass
from typing import Any

from kdbench.errors import InputError

# Words, numbers, spaces and letters that tokenizers split in different ways.
_PROBE = "The 2 naïve cats cost $12.50;\n\n\tdef f(x): return 北京 # ok"
_OTHER_MERGES = "the same vocabulary, other merges"


def vocabulary_size(tokenizer: Any) -> int:
    """Return 1 + the largest id that can occur; a tokenizer may leave ids out below it."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return 1 + max(vocabulary.values())


def set_end_token(tokenizer: Any, token: str) -> None:
    """Make a token of the vocabulary the one that ends a response.

    Raises:
        InputError: the tokenizer does not have it.
    """
    if token not in tokenizer.get_vocab():
        raise InputError(f"end_token={token}: not a token of the student's tokenizer")
    tokenizer.eos_token = token


@dataclass(frozen=True)
class SharedTokens:
    """What two tokenizers have in common.

    Attributes:
        size: Ids below it mean the same in both; 0 if the tokenizers do not compare.
        same_end: Whether both end a response with the same token.
        difference: Why they do not compare; None if they do.
    """

    size: int
    same_end: bool
    difference: str | None = None


def shared_tokens(student: Any, teacher: Any) -> SharedTokens:
    """Find what the tokenizers of student and teacher have in common, for metrics.

    Either may have additional tokens after the other's last one, as chat models do, and they may
    end a response with different tokens. If anything else differs, distributions do not compare.
    """
    small, large = sorted((student.get_vocab(), teacher.get_vocab()), key=len)
    size = min(vocabulary_size(student), vocabulary_size(teacher))
    extra = {token: number for token, number in large.items() if small.get(token) != number}
    same_end = student.eos_token_id == teacher.eos_token_id
    if any(number < size for number in extra.values()) or not small.items() <= large.items():
        return SharedTokens(0, same_end, _difference(student, teacher))
    if not _same_merges(student, teacher):
        return SharedTokens(0, same_end, _OTHER_MERGES)
    return SharedTokens(size, same_end)


def tokens_are_equal(student: Any, teacher: Any, any_end: bool = False) -> bool:
    """Whether two tokenizers compare token by token.

    Args:
        student: The student's tokenizer.
        teacher: The teacher's tokenizer; either may have more tokens after the shared ones.
        any_end: Whether the teacher may end a response with another token.
    """
    shared = shared_tokens(student, teacher)
    return shared.difference is None and (shared.same_end or any_end)


def common_vocabulary(
    student: Any, other: Any, method: str, whose: str = "teacher", any_end: bool = False
) -> int:
    """The number of tokens that two tokenizers share, for methods that compare them one by one.

    Args:
        student: The student's tokenizer.
        other: The tokenizer of the other model; either may have more tokens after the shared ones.
        method: The method, for the message.
        whose: The role of the other model, for the message.
        any_end: Whether the other model may end a response with another token.

    Raises:
        InputError: they differ otherwise; the line shows where.
    """
    shared = shared_tokens(student, other)
    if shared.difference:
        way_out = (
            "leave out kd_ratio=" if method == "seqkd" else "use method=seqkd without kd_ratio="
        )
        aligned = (
            "; gold, uld, and dskd with attention=true need no common tokenizer"
            if whose == "teacher"
            else ""
        )
        raise InputError(
            f"student and {whose} have different tokenizers ({shared.difference}), and "
            f"method={method} compares them token by token: {way_out}, or take a student of the "
            f"{whose}'s family{aligned}"
        )
    if not shared.same_end and not any_end:
        ends = f"'{student.eos_token}' and '{other.eos_token}'"
        raise InputError(
            f"student and {whose} end a response with different tokens ({ends}): choose the one "
            "that the student learns by end_token="
        )
    return shared.size


def _difference(student: Any, teacher: Any) -> str | None:
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    differing = [token for token in ours if theirs.get(token, ours[token]) != ours[token]]
    differing = differing or [token for token in ours if token not in theirs]
    if differing:
        token = min(differing)
        return f"'{token}' is {ours[token]} and {theirs.get(token, 'unknown')}"
    return f"{len(ours)} and {len(theirs)} tokens"


def _same_merges(student: Any, teacher: Any) -> bool:
    ours = student(_PROBE, add_special_tokens=False)["input_ids"]
    theirs = teacher(_PROBE, add_special_tokens=False)["input_ids"]
    return bool(ours == theirs)

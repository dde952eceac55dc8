"""Whether student and teacher have the same tokens."""

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


def check_same_tokens(student: Any, other: Any, method: str, whose: str = "teacher") -> None:
    """Check that two tokenizers have equal vocabularies and end tokens and split a text alike.

    Args:
        student: The student's tokenizer.
        other: The tokenizer of the other model.
        method: The method, for the message.
        whose: The role of the other model, for the message.

    Raises:
        InputError: they differ; the line shows where.
    """
    difference = _difference(student, other)
    if difference:
        raise InputError(
            f"student and {whose} have different tokenizers ({difference}), and method={method} "
            "compares them token by token: use method=seqkd, or a student of the teacher's family"
        )


def _difference(student: Any, teacher: Any) -> str | None:
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} tokens"
    if ours != theirs:
        token = min(token for token in ours if theirs.get(token) != ours[token])
        return f"'{token}' is {ours[token]} and {theirs.get(token, 'unknown')}"
    if student.eos_token_id != teacher.eos_token_id:
        return f"they end with '{student.eos_token}' and '{teacher.eos_token}'"
    return None if _same_merges(student, teacher) else _OTHER_MERGES


def _same_merges(student: Any, teacher: Any) -> bool:
    ours = student(_PROBE, add_special_tokens=False)["input_ids"]
    theirs = teacher(_PROBE, add_special_tokens=False)["input_ids"]
    return bool(ours == theirs)

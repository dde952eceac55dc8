"""Whether student and teacher speak the same tokens."""

from dataclasses import dataclass
from typing import Any

from kdbench.errors import InputError

# Words, numbers, spaces and letters that tokenizers treat differently.
_PROBE = "The 2 naïve cats cost $12.50;\n\n\tdef f(x): return 北京 # ok"


@dataclass(frozen=True)
class SharedTokens:
    """What two tokenizers have in common.

    Attributes:
        size: ids below it mean the same in both; 0 where they do not compare.
        same_end: whether both end a response with the same token.
        difference: why they do not compare, None if they do.
    """

    size: int
    same_end: bool
    difference: str | None = None


def shared_tokens(student: Any, teacher: Any) -> SharedTokens:
    """What student's and teacher's tokenizers share, for metrics.

    One may have tokens behind the other's last one, as chat models do; and they may end a response
    with different tokens. Whatever else differs, distributions do not compare.
    """
    ours, its = student.get_vocab(), teacher.get_vocab()
    small, large = sorted((ours, its), key=len)
    size = min(len(student), len(teacher))
    more = {token: number for token, number in large.items() if small.get(token) != number}
    same_end = student.eos_token_id == teacher.eos_token_id
    if any(number < size for number in more.values()) or not small.items() <= large.items():
        return SharedTokens(0, same_end, _difference(student, teacher))
    if not _same_merges(student, teacher):
        return SharedTokens(0, same_end, "the same vocabulary, other merges")
    return SharedTokens(size, same_end)


def check_same_tokens(student: Any, other: Any, method: str, whose: str = "teacher") -> None:
    """Compare vocabularies, special tokens and a probe; class names do not matter.

    Args:
        student: its tokenizer.
        other: that of the other model.
        method: for the message.
        whose: the other model's part in it.

    Raises:
        InputError: they differ; the line says in what.
    """
    found = _difference(student, other)
    if found:
        raise InputError(
            f"student and {whose} have different tokenizers ({found}), and method={method} "
            "compares them token by token; method=seqkd does not, or take a student of the "
            "teacher's family"
        )


def _difference(student: Any, teacher: Any) -> str | None:
    ours, its = student.get_vocab(), teacher.get_vocab()
    if len(ours) != len(its):
        return f"{len(ours)} and {len(its)} tokens"
    if ours != its:
        token = min(token for token in ours if its.get(token) != ours[token])
        return f"'{token}' is {ours[token]} and {its.get(token, 'unknown')}"
    if student.eos_token_id != teacher.eos_token_id:
        return f"they end with '{student.eos_token}' and '{teacher.eos_token}'"
    return None if _same_merges(student, teacher) else "the same vocabulary, other merges"


def _same_merges(student: Any, teacher: Any) -> bool:
    encoded = [one(_PROBE, add_special_tokens=False)["input_ids"] for one in (student, teacher)]
    return bool(encoded[0] == encoded[1])

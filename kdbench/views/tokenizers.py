"""Whether student and teacher speak the same tokens."""

from typing import Any

from kdbench.errors import InputError

# Words, numbers, spaces and letters that tokenizers treat differently.
_PROBE = "The 2 naïve cats cost $12.50;\n\n\tdef f(x): return 北京 # ok"


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
    encoded = [one(_PROBE, add_special_tokens=False)["input_ids"] for one in (student, teacher)]
    return None if encoded[0] == encoded[1] else "the same vocabulary, other merges"

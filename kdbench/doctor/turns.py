"""What a chat template does: how it ends a turn, and which marks are its own."""

from typing import Any

from kdbench.errors import InputError
from kdbench.system.time_limit import time_limit
from kdbench.views.chat import ChatMessage, Turn, chat_text, find_template

_QUESTION, _ANSWER = "question", "kdbench-answer"
_SECONDS = 10


def template_of(tokenizer: Any, chosen: str | None = None) -> str | None:
    """The chat template that a protocol would use; None without one."""
    try:
        return find_template(tokenizer, chosen, "")
    except InputError:
        return None


def own_marks(tokenizer: Any, template: str) -> list[str]:
    """The special tokens that a prompt in the template has, apart from a BOS at its start.

    A template of plain text, such as Alpaca's headers, has none; neither has one that fails on a
    single turn, which is reported where prompts are made.
    """
    text = _rendered(tokenizer, template, _QUESTION)
    behind_bos = text.removeprefix(tokenizer.bos_token or "")
    special = set(tokenizer.get_added_vocab()) | set(tokenizer.all_special_tokens)
    return sorted(mark for mark in special if _is_mark(mark) and mark in behind_bos)


def turn_end(tokenizer: Any, template: str) -> int | None:
    """The token with which the template ends an assistant's turn.

    It is None if that is plain text, or if the template fails on three turns.
    """
    turns = (Turn("user", _QUESTION), Turn("assistant", _ANSWER), Turn("user", _QUESTION))
    text = _rendered(tokenizer, template, turns)
    behind = text.partition(_ANSWER)[2]
    ids = tokenizer(behind.lstrip(), add_special_tokens=False)["input_ids"][:1]
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return ids[0] if ids and ids[0] in special and _is_mark_id(tokenizer, ids[0]) else None


def _rendered(tokenizer: Any, template: str, message: ChatMessage) -> str:
    try:
        with time_limit(_SECONDS):
            return chat_text(tokenizer, template, message)
    except InputError:
        return ""


def _is_mark(token: str) -> bool:
    """Whether a token is written as a mark, such as `<|im_start|>`, and is not text."""
    return not any(char.isspace() for char in token) and token[:1] in "<[{|"


def _is_mark_id(tokenizer: Any, number: int) -> bool:
    return _is_mark(str(tokenizer.convert_ids_to_tokens(number)))

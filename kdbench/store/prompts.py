"""`samples/<task>.prompts.jsonl`: what a task asked, one line per document, in order.

The file stands beside the samples, so that a reader of a run needs neither the data set nor the
tokenizer. No number is computed from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdbench.errors import InputError
from kdbench.store.schema import COUNT, TEXT, FieldError, Rule, check_fields, each


@dataclass(frozen=True)
class StoredPrompt:
    """What a model was asked with a document, and the references of the answer.

    Attributes:
        id: Id of the document.
        prompt: Text that the model was given, in the chat template if the protocol has one, up to
            the protocol's limit.
        cut: Text that the limit removed, empty if it removed none; None if the text was not
            tokenized by kdbench, so that the limit is not known to have been applied.
        n_prompt_tokens: Number of tokens of `prompt`; None if unknown.
        messages: Turns of the document, with `role` and `content`, if it is a conversation.
        references: References of the document; may be empty.
        category: Category of the document; None if it has none.
    """

    id: str
    prompt: str
    cut: str | None
    n_prompt_tokens: int | None
    messages: tuple[Mapping[str, str], ...] = ()
    references: tuple[str, ...] = ()
    category: str | None = None


def prompt_record(prompt: StoredPrompt) -> dict[str, Any]:
    """Return the line of a prompt, without the fields that few documents have."""
    record = asdict(prompt)
    for field in ("messages", "category"):
        if not record[field]:
            del record[field]
    return record


def read_prompt(record: Mapping[str, Any], place: str) -> StoredPrompt:
    """Return the prompt of a line.

    Args:
        record: Content of the line.
        place: File and line number, for error messages.

    Raises:
        InputError: A field is missing or of the wrong type.
    """
    try:
        check_fields(dict(record), _FIELDS)
    except FieldError as error:
        raise InputError(f"{place}: not a prompt: {error}") from None
    return StoredPrompt(
        id=record["id"],
        prompt=record["prompt"],
        cut=record["cut"],
        n_prompt_tokens=record["n_prompt_tokens"],
        messages=tuple(record.get("messages", ())),
        references=tuple(record["references"]),
        category=record.get("category"),
    )


def _is_turns(value: object) -> bool:
    return isinstance(value, Sequence) and all(
        isinstance(turn, Mapping) and all(isinstance(turn.get(k), str) for k in ("role", "content"))
        for turn in value
    )


_FIELDS = {
    "id": TEXT,
    "prompt": TEXT,
    "cut": TEXT.or_null(),
    "n_prompt_tokens": COUNT.or_null(),
    "messages": Rule("a list of turns with role and content", _is_turns).if_given(),
    "references": each(TEXT, "texts"),
    "category": TEXT.or_null().if_given(),
}

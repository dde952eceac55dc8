"""Rows of prompts become documents: how each form is asked, its references, id and category."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.task.model import Document
from kdbench.task.prompt_rows import FORMS, NumberText, PlacedRow
from kdbench.views.chat import ChatMessage, Turn

_ROLES = ("system", "developer", "user", "assistant", "tool")
_REFERENCES = (
    "answer",
    "answers",
    "completion",
    "output",
    "outputs",
    "response",
    "responses",
    "target",
    "targets",
)
_INPUTS = ("input", "context")
_OPTIONAL = ("reference", "references", "category", "id")
_LIKE_A_PROMPT = {
    "conversation": "messages",
    "conversations": "messages",
    "query": "prompt",
    "question": "prompt",
    "text": "prompt",
    "turns": "messages",
}
_LONGEST_CATEGORY = 100  # characters


def documents_of(name: str, rows: Sequence[PlacedRow]) -> Iterator[Document]:
    """Yield the documents of a file of prompts.

    Args:
        name: Name of the task, which prefixes the numbers of rows without an id.
        rows: Rows of the file.

    Raises:
        InputError: A row is bad or an id occurs twice; the message names its place and field.
    """
    seen: dict[str, str] = {}
    checked: set[frozenset[str]] = set()
    for index, row in enumerate(rows):
        fields = row.fields
        if (names := frozenset(fields)) not in checked:
            _check_names(row)
            checked.add(names)
        prompt, message, answer = _asked(row)
        references = _references(row)
        if answer is not None:
            if references:
                raise InputError(
                    f"{row.place}: the last of the messages is the assistant's, which is the "
                    "reference, but the row has another one; remove one of them"
                )
            references = (answer,)
        document_id = _id(row) or f"{name}-{index:05d}"
        if document_id in seen:
            raise InputError(
                f"{row.place}: the id '{document_id}' occurs twice; the first is at "
                f"{seen[document_id]}"
            )
        seen[document_id] = row.place
        category = _category(row)
        yield Document(document_id, prompt, message, references, fields, category)


def _asked(row: PlacedRow) -> tuple[str, ChatMessage, str | None]:
    """Return the prompt, the message for a chat template, and the answer that messages end with.

    Raises:
        InputError: The row has no prompt or several, or one that is no text.
    """
    given = [form for form in FORMS if form in row.fields]
    filled = [form for form in given if row.fields[form] not in ("", [])]
    if len(filled) > 1:
        raise InputError(
            f"{row.place}: has both '{filled[0]}' and '{filled[1]}'; a row has one of them"
        )
    if not filled:
        raise InputError(f"{row.place}: {_why_no_prompt(row, given)}")
    form = filled[0]
    value = row.fields[form]
    if form == "messages" or (form == "prompt" and _is_turns(value)):
        return "", *_conversation(row, form)
    text = _text(row, form)
    if form == "prompt":
        return text, text, None
    names = [name for name in _INPUTS if name in row.fields]
    context = _text(row, names[0], may_be_empty=True) if names else ""
    module = load_module("tasks/instruction.py")
    if context.strip().lower() in ("", module.NO_INPUT):
        context = ""
    prompt = module.doc_to_text({"instruction": text, "input": context})
    return prompt, f"{text}\n\n{context}".strip(), None


def _why_no_prompt(row: PlacedRow, given: Sequence[str]) -> str:
    if given:
        return f"'{given[0]}' is empty"
    missing = "no 'prompt', 'messages' or 'instruction'"
    known = {**_LIKE_A_PROMPT, **{form: form for form in FORMS}}
    for name in row.fields:
        close = difflib.get_close_matches(name.strip().lower(), known, n=1, cutoff=0.8)
        if close:
            return f"{missing}; rename '{name}' to '{known[close[0]]}'"
    return f"{missing}; a row needs one of them"


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(turn, Mapping) for turn in value)


def _conversation(row: PlacedRow, field: str) -> tuple[tuple[Turn, ...], str | None]:
    """Return the turns to answer, and the assistant's answer if they end with it."""
    place, value = f"{row.place}: {field}", row.fields[field]
    if not _is_turns(value):
        raise InputError(f"{place}: must be a list of turns with 'role' and 'content'")
    turns = [_turn(f"{place}[{index}]", turn) for index, turn in enumerate(value)]
    answer = turns.pop().content if turns[-1].role == "assistant" else None
    if not turns or turns[-1].role not in ("user", "tool"):
        raise InputError(f"{place}: has no turn of the user to answer at its end")
    return tuple(turns), answer


def _turn(place: str, turn: Mapping[str, Any]) -> Turn:
    for key in ("role", "content"):
        value = turn.get(key)
        if not isinstance(value, str) or isinstance(value, NumberText):
            what = "is missing" if value is None else f"must be text, not {_kind(value)}"
            hint = "; 'from' and 'value' are ShareGPT's names" if "from" in turn else ""
            raise InputError(f"{place}: '{key}' {what}{hint}")
    if turn["role"] not in _ROLES:
        raise InputError(f"{place}: the role '{turn['role']}' is none of {', '.join(_ROLES)}")
    if not turn["content"].strip() and turn["role"] in ("user", "assistant"):
        raise InputError(f"{place}: 'content' is empty")
    return Turn(turn["role"], turn["content"])


def _text(row: PlacedRow, field: str, may_be_empty: bool = False) -> str:
    value = row.fields[field]
    if not isinstance(value, str) or isinstance(value, NumberText):
        raise InputError(f"{row.place}: '{field}' must be text, not {_kind(value)}")
    if not may_be_empty and not value.strip():
        raise InputError(f"{row.place}: '{field}' is empty")
    return str(value)


def _references(row: PlacedRow) -> tuple[str, ...]:
    """Return the references; none if the row has no field for them.

    Raises:
        InputError: Several fields could be meant, or a reference is empty or no text.
    """
    names = [name for name in ("reference", "references") if name in row.fields]
    names = names or [name for name in _REFERENCES if name in row.fields]
    if len(names) > 1:
        raise InputError(
            f"{row.place}: '{names[0]}' and '{names[1]}' could both be the reference; rename one "
            "of them to 'reference'"
            if "reference" not in names
            else f"{row.place}: has both 'reference' and 'references'; a row has one of them"
        )
    if not names:
        return ()
    value = row.fields[names[0]]
    values = value if isinstance(value, list) else [value]
    return tuple(_scalar(row, names[0], item) for item in values)


def _id(row: PlacedRow) -> str | None:
    if "id" not in row.fields:
        return None
    text = _scalar(row, "id", row.fields["id"])
    if not text.isprintable():
        raise InputError(f"{row.place}: 'id' must be one line without control characters")
    return text


def _category(row: PlacedRow) -> str | None:
    if "category" not in row.fields:
        return None
    _scalar(row, "category", row.fields["category"])
    try:
        return checked_category(row.fields["category"])
    except InputError as error:
        raise InputError(f"{row.place}: 'category' {error}") from None


def checked_category(value: object) -> str:
    """Return a category as text.

    Args:
        value: A text or number.

    Raises:
        InputError: It is something else, empty, or too long to head rows of a table.
    """
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    text = str(value).strip() if is_scalar else ""
    if not text or not text.isprintable() or len(text) > _LONGEST_CATEGORY:
        raise InputError(f"must be one line of text, of at most {_LONGEST_CATEGORY} characters")
    return text


def _scalar(row: PlacedRow, field: str, value: object) -> str:
    """Return a text, or a number as it is written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{row.place}: '{field}' must be text, not {_kind(value)}")
    if not str(value).strip():
        raise InputError(f"{row.place}: '{field}' is empty; remove it, or make it null")
    return str(value)


def _check_names(row: PlacedRow) -> None:
    """Check that no optional field has a name that is nearly right.

    Raises:
        InputError: One has; it would be ignored.
    """
    missing = [name for name in _OPTIONAL if name not in row.fields]
    for name in row.fields:
        if name in (*_OPTIONAL, *FORMS, *_INPUTS, *_REFERENCES):
            continue
        plain = name.strip().lower()
        # A preference is no misspelt reference, nor reference_id.
        close = difflib.get_close_matches(plain, missing, n=1, cutoff=0.85)
        if close and close[0][0] == plain[0] and abs(len(close[0]) - len(plain)) <= 1:
            raise InputError(f"{row.place}: unknown field '{name}': did you mean '{close[0]}'?")


def _kind(value: object) -> str:
    names = {
        bool: "true or false",
        NumberText: "a number",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)

"""Rows with edited prompts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.distillation.rows import TrainingRow, training_rows
from kdbench.errors import InputError
from kdbench.training.edits import Uniform, edited_text


def question_texts(row: TrainingRow) -> Iterator[str]:
    """Yield the texts of a row in which an edit changes words.

    Raises:
        InputError: It is a plain text.
    """
    if row.is_text:
        raise InputError(f"edits=: row '{row.id}' is a plain text, which asks nothing")
    if "messages" in row.asked:
        yield str(row.asked["messages"][-1]["content"])
    else:
        yield from (str(text) for text in row.asked.values())


def edits_of(
    row: TrainingRow, count: int, words: Sequence[str], uniform: Uniform
) -> list[TrainingRow]:
    """Different edits of a row, with ids of their own; they keep its response, which is no answer.

    Args:
        row: The row; no plain text.
        count: Number of tries. Equal edits, and those that change nothing, are left out.
        words: Words of other prompts.
        uniform: Returns a number of [0, 1) for a name, on which alone the edits depend.
    """
    found: dict[str, TrainingRow] = {}
    for number in range(count):
        asked = _edited(row.asked, words, str(number), uniform)
        if asked is None or asked == row.asked:
            continue
        learned = {"output" if "instruction" in asked else "response": list(row.references)}
        record = {"id": f"{row.id}~{number}", **asked, **learned, "fields": row.fields}
        found.setdefault(repr(asked), next(training_rows(record)))
    return list(found.values())


def _edited(
    asked: Mapping[str, Any], words: Sequence[str], name: str, uniform: Uniform
) -> dict[str, Any] | None:
    """What asks, with one edit; None if there is no word, or none would be left."""
    if "messages" in asked:
        *before, last = asked["messages"]
        text = edited_text(str(last["content"]), words, name, uniform)
        return {"messages": [*before, {**last, "content": text}]} if text and text.strip() else None
    if "instruction" not in asked:
        text = edited_text(str(asked["prompt"]), words, name, uniform)
        return {"prompt": text} if text and text.strip() else None
    parts = [str(asked[key]) for key in ("instruction", "input") if asked[key]]
    text = edited_text("\n".join(parts), words, name, uniform)
    if text is None:
        return None
    lines, own = text.split("\n"), parts[0].count("\n") + 1  # an edit never changes their number
    instruction, given = "\n".join(lines[:own]), "\n".join(lines[own:])
    return {"instruction": instruction, "input": given} if instruction.strip() else None

"""The rows of data sets as their files hold them, read without a tokenizer or lm-eval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.views.chat import ChatMessage

Rows = Sequence[Mapping[str, Any]]
"""Rows with `id`, `instruction`, `input` and `output`, a list of references."""


def split_file(data: Path, name: str, split: str) -> Path | None:
    """The file of a split, such as `dolly/train.jsonl.gz`; None if there is none."""
    files = [data / name / f"{split}{ending}" for ending in (".jsonl", ".jsonl.gz")]
    return next((file for file in files if file.is_file()), None)


def read_split(data: Path, name: str, split: str, limit: int | None = None) -> Rows | None:
    """Read the rows of a split; None if there is no such file.

    Args:
        data: Folder of the data sets.
        name: Folder of the set in it.
        split: `train`, `valid` or `test`.
        limit: Number of rows to read from the start; None reads all.

    Raises:
        InputError: A line is malformed; the message names file and line.
    """
    file = split_file(data, name, split)
    if file is None:
        return None
    try:
        return list(load_module("tasks/instruction.py").read_rows(file, name, limit))
    except ValueError as error:
        raise InputError(str(error)) from None


def said(row: Mapping[str, Any]) -> str:
    """What a user says in a row: instruction and input."""
    return f"{row['instruction']}\n\n{row['input']}".strip()


def plain_row(name: str, message: ChatMessage, references: Sequence[str]) -> Mapping[str, Any]:
    """A row as the checks read it; its instruction is what is said in all turns of a message.

    Args:
        name: Id of the row.
        message: What a user says, or a conversation.
        references: Its references.
    """
    said = message if isinstance(message, str) else "\n".join(turn.content for turn in message)
    return {"id": name, "instruction": said, "input": "", "output": list(references)}

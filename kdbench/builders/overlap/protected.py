"""The texts of test sets that no training row may have."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.errors import InputError
from kdbench.task import Document, Task, load_tasks
from kdbench.views.chat import ChatMessage, Turn

Field = Literal["prompt", "response", "both"]
"""Which text of a row: what it asks, what it answers, or both as one text."""


@dataclass(frozen=True)
class ProtectedText:
    """A text of a test set.

    Attributes:
        set: Name of the test set.
        id: Id of its document.
        field: Which text of the document it is.
        text: The text.
    """

    set: str
    id: str
    field: Field
    text: str


@dataclass(frozen=True)
class TestSets:
    """The texts of test sets.

    Attributes:
        texts: The texts.
        sizes: Number of documents by test set.
    """

    __test__ = False  # no test of pytest's

    texts: Sequence[ProtectedText]
    sizes: dict[str, int]

    @property
    def sha256(self) -> str:
        """SHA-256 of all texts with their names."""
        content = [[text.set, text.id, text.field, text.text] for text in self.texts]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_test_sets(names: Sequence[str], data: Path | None, fields: Collection[str]) -> TestSets:
    """The texts of test sets.

    Args:
        names: The sets, as in `tasks=` of an evaluation.
        data: Folder of the data sets.
        fields: Which texts of each document are taken.

    Raises:
        InputError: A task is unknown, or its data are missing or malformed.
    """
    try:
        tasks = load_tasks(names, data)
    except InputError as error:  # whose key has another name here
        raise InputError(str(error).replace("tasks=", "against=")) from None
    texts = [text for task in tasks for text in _texts(task, fields)]
    return TestSets(texts, {task.name: len(task.documents) for task in tasks})


def _texts(task: Task, fields: Collection[str]) -> Iterator[ProtectedText]:
    for document in task.documents:
        prompt = _question(task, document)
        if "prompt" in fields and prompt.strip():
            yield ProtectedText(task.name, document.id, "prompt", prompt)
        for reference in dict.fromkeys(document.references):
            if "response" in fields and reference.strip():
                yield ProtectedText(task.name, document.id, "response", reference)
            if "both" in fields:
                yield ProtectedText(task.name, document.id, "both", joined(prompt, reference))


def _question(task: Task, document: Document) -> str:
    """What a document asks, without the examples of other documents."""
    if task.lm_eval is not None and (task.lm_eval.config.num_fewshot or 0) > 0:
        return str(task.lm_eval.doc_to_text(document.fields))
    return "\n".join(user_turns(document.message))


def user_turns(message: ChatMessage) -> list[str]:
    """What a user says in a message, turn by turn."""
    if isinstance(message, str):
        return [message]
    return [turn.content for turn in message if isinstance(turn, Turn) and turn.role == "user"]


def joined(prompt: str, response: str) -> str:
    """A prompt and a response as one text."""
    return f"{prompt}\n\n{response}"

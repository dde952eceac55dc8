"""Rows of training files: instructions, conversations, prompts with responses, or plain texts.

A file holds rows of one kind, which its first row shows. Which kinds can be learned depends on
`train_format=`: the Alpaca template takes instructions, a chat template takes all but plain texts,
and `text` takes what needs no template.
"""

import gzip
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import TrainFormat, TrainTurns
from kdbench.distillation.columns import (
    PAIR,
    chosen_as_response,
    fields_of,
    pair_of,
    with_messages,
)
from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.system.files import parse_line
from kdbench.views.chat import ChatMessage, Turn

_KINDS: Mapping[TrainFormat, tuple[str, ...]] = {
    "alpaca": ("instruction",),
    "chat": ("messages", "prompt", "instruction"),
    "text": ("text", "prompt"),
}
_FIELDS = {
    "instruction": "instruction and output",
    "messages": "messages",
    "prompt": "prompt and response",
    "text": "text",
}
_OTHER_NAMES = ("output", "completion", "answer", "reference", "target")  # of `response`


@dataclass(frozen=True)
class TrainingRow:
    """What a student learns from one row.

    Attributes:
        id: Id that is unique in its set.
        prompt: Text that is asked without a chat template; empty for a conversation or a text.
        message: What the user says, or the conversation before the response.
        references: All references as text; the first is learned. A plain text is its own.
        asked: Fields of the row that ask, as the file has them.
        fields: Its other columns, as the file has them.
        pair: The texts of `chosen` and `rejected`, if the method needs them.
    """

    id: str
    prompt: str
    message: ChatMessage
    references: tuple[str, ...]
    asked: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    pair: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether it is a plain text, which answers nothing."""
        return "text" in self.asked

    @property
    def content(self) -> list[Any]:
        """All of it, ready for JSON and a hash."""
        of_file = "prompt" in self.asked or not self.prompt
        return [self.id, self.asked if of_file else self.prompt, list(self.references)]


def stream_records(
    path: Path, name: str, train_format: TrainFormat | None, needed: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the checked rows of a file, with one at a time in memory.

    Args:
        path: File of JSON lines, which may be gzipped.
        name: Name of the set, which prefixes the numbers of rows without an id.
        train_format: Format in which they are learned; None takes rows of any kind.
        needed: Fields that each row must have.

    Yields:
        What is asked and answered, with the other columns as `fields`, and the texts of the two
        responses as `pair` if they are needed.

    Raises:
        InputError: A row is malformed or lacks a field, or is of a kind that this format does not
            learn.
    """
    kind = _kind_of_file(path)
    if train_format is not None and kind not in _KINDS[train_format]:
        takes = [format_ for format_, kinds in _KINDS.items() if kind in kinds]
        raise InputError(
            f"{path}: has rows with {_FIELDS[kind]}, and train_format={train_format} learns rows "
            f"with {' or '.join(_FIELDS[known] for known in _KINDS[train_format])}; pass "
            f"train_format={' or '.join(takes)}"
        )
    if kind == "instruction":
        yield from _instructions(path, name, needed)
        return
    seen = set[str]()
    for number, line in _lines(path):
        place = f"{path}:{number}"
        row = with_messages(parse_line(line, place), place)
        record = {"id": f"{name}-{number - 1:05d}", **_checked(row, kind, place)}
        record["fields"] = fields_of(row, kind, needed, place)
        if record["id"] in seen:
            raise InputError(f"{place}: id '{record['id']}' occurs twice")
        seen.add(record["id"])
        if set(PAIR) & set(needed):
            if kind == "text":
                raise InputError(f"{place}: a plain text answers nothing, so it is in no pair")
            asked = record.get("prompt")
            if "messages" in record:
                asked = record["messages"][: None if "response" in record else -1]
            record["pair"] = pair_of(row, asked, place)
        yield record


def _instructions(path: Path, name: str, needed: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield instructions, as the tasks read them, with their other columns."""
    records = load_module("tasks/instruction.py").read_rows(path, name, None)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as text:  # split into lines as the tasks do
        lines = ((number, line) for number, line in enumerate(text, start=1) if line.strip())
        while True:
            try:
                record = next(records, None)
            except ValueError as error:
                raise InputError(str(error)) from None
            if record is None:
                return
            number, line = next(lines)
            place = f"{path}:{number}"
            row = parse_line(line.encode(), place)
            record["fields"] = fields_of(row, "instruction", needed, place)
            if set(PAIR) & set(needed):
                record["pair"] = pair_of(row, None, place)
            yield record


def training_rows(record: Mapping[str, Any], turns: TrainTurns = "last") -> Iterator[TrainingRow]:
    """Yield what is learned from a row; several if all turns of a conversation are.

    Args:
        record: A row as `stream_records` yields it.
        turns: Which turns of the assistant are learned.
    """
    name, others = record["id"], (record.get("fields", {}), record.get("pair", {}))
    if "messages" in record:
        yield from _of_conversation(record, turns)
    elif "text" in record:
        yield TrainingRow(name, "", "", (record["text"],), {"text": record["text"]}, *others)
    elif "prompt" in record:
        prompt, references = record["prompt"], tuple(record["response"])
        yield TrainingRow(name, prompt, prompt, references, {"prompt": prompt}, *others)
    else:
        asked = {key: record[key] for key in ("instruction", "input")}
        prompt = str(load_module("tasks/instruction.py").doc_to_text(record))
        message = f"{record['instruction']}\n\n{record['input']}".strip()
        yield TrainingRow(name, prompt, message, tuple(record["output"]), asked, *others)


def _of_conversation(record: Mapping[str, Any], which: TrainTurns) -> Iterator[TrainingRow]:
    turns = tuple(Turn(turn["role"], turn["content"]) for turn in record["messages"])
    places = [n for n, turn in enumerate(turns) if turn.role == "assistant" and n]
    learned = {n: (turns[n].content,) for n in places}
    if "response" in record:
        learned[len(turns)] = tuple(record["response"])
    last = max(learned)
    if "pair" in record and which == "all" and len(learned) > 1:
        raise InputError(
            f"row '{record['id']}': only its last turn has a pair of responses; pass "
            "train_turns=last"
        )
    for place in sorted(learned) if which == "all" else [last]:
        name = record["id"] if place == last else f"{record['id']}#{place}"
        asked = {"messages": record["messages"][:place]}
        others = (record.get("fields", {}), record.get("pair", {}))
        yield TrainingRow(name, "", turns[:place], learned[place], asked, *others)


def _kind_of_file(path: Path) -> str:
    for number, line in _lines(path):
        place = f"{path}:{number}"
        try:
            record = parse_line(line, place)
        except InputError:
            return "instruction"  # whose reader knows what else a file can be
        record = with_messages(record, place)
        return next((kind for kind in ("instruction", *_FIELDS) if kind in record), "instruction")
    return "instruction"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.removeprefix(b"\xef\xbb\xbf")
    except (gzip.BadGzipFile, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _checked(record: dict[str, Any], kind: str, place: str) -> dict[str, Any]:
    """The fields of a row that count, with the response as a list of references.

    Raises:
        InputError: A field is missing or of the wrong type.
    """
    given = {} if record.get("id") is None else {"id": str(record["id"])}
    if kind == "messages":
        turns = _turns(record.get("messages"), place)
        answered = turns[-1]["role"] == "assistant"
        if not answered:
            record = chosen_as_response(record, turns, place)
        if answered and record.get("response") is not None:
            raise InputError(
                f"{place}: give 'response' or end 'messages' with the assistant's turn"
            )
        return given | {"messages": turns} | ({} if answered else _response(record, place))
    if not isinstance(record.get(kind), str) or not record[kind].strip():
        raise InputError(f"{place}: '{kind}' must be a non-empty string")
    text = {kind: record[kind]}
    if kind == "prompt":
        record = chosen_as_response(record, record[kind], place)
    return given | text | (_response(record, place) if kind == "prompt" else {})


def _response(record: Mapping[str, Any], place: str) -> dict[str, list[str]]:
    response = record.get("response")
    references = [response] if isinstance(response, str) else response
    if response is None and (names := [name for name in _OTHER_NAMES if name in record]):
        raise InputError(f"{place}: 'response' is missing; rename '{names[0]}'")
    if (
        not isinstance(references, list)
        or not references
        or not all(isinstance(text, str) and text.strip() for text in references)
    ):
        raise InputError(f"{place}: 'response' must be a non-empty text or a list of them")
    return {"response": references}


def _turns(value: object, place: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{place}: 'messages' must be a list of turns with role and content")
    turns = []
    for number, turn in enumerate(value):
        where = f"{place}: 'messages[{number}]'"
        if not isinstance(turn, dict):
            raise InputError(f"{where} must have role and content")
        for key in ("role", "content"):
            if not isinstance(turn.get(key), str):
                raise InputError(f"{where}: '{key}' must be a string")
        if others := [key for key in turn if key not in ("role", "content") and turn[key]]:
            raise InputError(f"{where}: '{others[0]}' cannot be learned; only role and content can")
        if turn["role"] == "assistant" and not turn["content"].strip():
            raise InputError(f"{where}: the assistant's 'content' is empty")
        turns.append({"role": turn["role"], "content": turn["content"]})
    if turns[0]["role"] == "assistant":
        raise InputError(f"{place}: 'messages[0]' must be the system's or the user's turn")
    return turns

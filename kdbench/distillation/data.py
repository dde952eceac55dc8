"""Training and validation sets: examples of the `data=DIR` layout, as token ids."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from kdbench.config import TrainFormat, TrainTurns, is_file_of_rows
from kdbench.distillation.encoder import Encoder
from kdbench.distillation.rows import TrainingRow, stream_records, training_rows
from kdbench.errors import InputError, nearest_path
from kdbench.system.bundled import load_module
from kdbench.system.files import LinesFile
from kdbench.task import data_folder
from kdbench.views.rollout import Example

Split = Literal["train", "valid"]
# Where MiniLLM publishes its training set; the first thousand rows are the validation set.
_HUB = {"dolly": ("MiniLLM/dolly", "raw.jsonl", 1000)}


@dataclass(frozen=True)
class SetFile:
    """Which set is read, and how its rows are learned.

    Attributes:
        data: Folder with `<name>/<split>.jsonl` (or `.jsonl.gz`); None looks at KDBENCH_DATA, then
            at the hub.
        name: Name of the set, such as `dolly`, or path of a file.
        split: Which file of the set.
        train_format: Format in which its rows are learned; None takes rows of any kind.
        turns: Which turns of the assistant are learned from a conversation.
        fields: Columns that every row must have beside its prompt and response.
    """

    data: Path | None
    name: str
    split: Split
    train_format: TrainFormat | None = "alpaca"
    turns: TrainTurns = "last"
    fields: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is called in messages: `dolly/train`, or the file's name."""
        return Path(self.name).name if is_file_of_rows(self.name) else f"{self.name}/{self.split}"


@dataclass(frozen=True)
class DataSet:
    """An encoded training or validation set.

    Attributes:
        title: What it is called in messages.
        examples: The examples in the order of the file.
        rows: The row of each example, as text.
        read: Number of rows read; with all turns learned, of turns.
        dropped: Number of rows whose prompt was too long.
        cut: Number of examples whose response was cut, and which therefore have no end token.
        joint: Number of examples whose tokens differ from those of prompt and response as two
            texts.
        sha256: SHA-256 of the ids, prompts and responses of all rows read, as text.
        fields_sha256: SHA-256 of those other columns that change what is learned: the fields that
            the method needs, and weights other than 1. None if there are none, so that a column
            which nobody reads changes no identity.
    """

    title: str
    examples: Sequence[Example]
    rows: Sequence[TrainingRow]
    read: int
    dropped: int
    cut: int
    joint: int
    sha256: str
    fields_sha256: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What identifies the set in a run card.

        The tokenization is named only where it matters, so that other runs keep their identity.
        """
        tokenization = {"tokenization": "joint"} if self.joint else {}
        fields = {"fields": self.fields_sha256} if self.fields_sha256 else {}
        return {
            "rows": self.read,
            "dropped": self.dropped,
            "sha256": self.sha256,
            **tokenization,
            **fields,
        }


def set_name(name: str) -> str:
    """The name of a set; the file's name without its ending if a path names it."""
    if not is_file_of_rows(name):
        return name
    return Path(name).name.removesuffix(".gz").removesuffix(".jsonl")


def load_set(file: SetFile, encoder: Encoder, limit: int | None = None) -> DataSet:
    """Read and encode a set.

    Args:
        file: The set.
        encoder: How rows become examples.
        limit: Read only the first N rows; None reads all.

    Raises:
        InputError: The file is missing or malformed, a prompt has no token, no row is left, or the
            weight of all of them is 0.
    """
    rows = read_rows(file, limit)
    if rows and all(row.fields.get("weight", 1) == 0 for row in rows):
        raise InputError(f"{file.title}: the 'weight' of every row is 0: nothing would be learned")
    pairs = [(row, encoded) for row in rows if (encoded := encoder.encode(row))]
    if not pairs:
        raise InputError(
            f"{file.title}: every prompt is longer than {encoder.lengths.prompt} "
            "tokens; raise max_prompt_tokens=, or pass long_prompts=cut"
        )
    content = json.dumps([row.content for row in rows], ensure_ascii=False)
    examples = [encoded.example for _, encoded in pairs]
    return DataSet(
        title=file.title,
        examples=examples,
        rows=[row for row, _ in pairs],
        read=len(rows),
        dropped=len(rows) - len(pairs),
        cut=sum(not encoder.has_end(example) for example in examples),
        joint=sum(encoded.is_joint for _, encoded in pairs),
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        fields_sha256=_fields_sha256(rows, file.fields),
    )


def _fields_sha256(rows: Sequence[TrainingRow], needed: Sequence[str]) -> str | None:
    weighted = any(row.fields.get("weight", 1) != 1 for row in rows)
    names = sorted({*needed, "weight"} if weighted else set(needed))
    if not names:
        return None
    # An integer and a float of the same value weigh the same.
    values = [[_plain(row.fields.get(name, 1.0)) for name in names] for row in rows]
    content = json.dumps([names, values], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read_rows(file: SetFile, limit: int | None = None) -> list[TrainingRow]:
    """Read a set without encoding it.

    Args:
        file: The set.
        limit: Read only the first N rows of the file; None reads all.

    Raises:
        InputError: The file is missing or malformed.
    """
    records = list(_records(file))[:limit]  # a fault behind the limit is a fault
    if file.split == "valid":  # a loss to compare is that of all rows alike
        for record in records:
            record["fields"].pop("weight", None)
    return [row for record in records for row in training_rows(record, file.turns)]


def stream_rows(file: SetFile, limit: int | None = None) -> Iterator[TrainingRow]:
    """Yield the rows of a set, with one at a time in memory.

    Args:
        file: The set.
        limit: Read only the first N rows of the file; None reads all.

    Raises:
        InputError: The file is missing or malformed.
    """
    for record in islice(_records(file), limit):
        yield from training_rows(record, file.turns)


def valid_file(file: SetFile) -> Path | None:
    """The `valid.jsonl` of a training set on this disk; None if there is none.

    Args:
        file: The training set.
    """
    if is_file_of_rows(file.name):
        folder = Path(file.name).parent
    elif (data := data_folder(file.data)) is not None:
        folder = data / file.name
    else:
        return None
    paths = (folder / f"valid{ending}" for ending in (".jsonl", ".jsonl.gz"))
    return next((path for path in paths if path.is_file()), None)


def load_texts(path: Path, tokenizer: Any, length: int) -> list[tuple[int, ...]]:
    """Read plain texts and cut them into pieces.

    Args:
        path: A file with one JSON object per line, each with a `text`.
        tokenizer: The student's tokenizer.
        length: Tokens in a piece; the last one of a text may be shorter.

    Returns:
        Pieces of two or more tokens.

    Raises:
        InputError: the file is missing, a line is malformed, or there is no text.
    """
    if not path.is_file():
        raise InputError(f"pretraining={path}: no such file{nearest_path(path)}")
    pieces: list[tuple[int, ...]] = []
    for number, line in enumerate(LinesFile(path).read(whole=True), start=1):
        if not isinstance(line.get("text"), str):
            raise InputError(f"{path}:{number}: 'text' must be a string")
        ids = tokenizer(line["text"], add_special_tokens=False)["input_ids"]
        pieces += [tuple(ids[start : start + length]) for start in range(0, len(ids), length)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    if not pieces:
        raise InputError(f"{path}: no text of two tokens or more")
    return pieces


def with_responses(
    data: DataSet,
    responses: Mapping[str, tuple[str, bool]],
    encoder: Encoder,
    always_ends: bool = False,
) -> list[Example]:
    """Replace the responses of examples; those whose new response is empty are left out.

    Args:
        data: The training set.
        responses: By id, the response as text and whether it ended by itself.
        encoder: How rows become examples.
        always_ends: Whether a response that did not end by itself gets an end token too.
    """
    pairs = zip(data.rows, data.examples, strict=True)
    answered = []
    for row, example in pairs:
        text, ended = responses[example.id]
        answered.append((example, encoder.answered(row, text, ended or always_ends)))
    return [
        replace(new, references=example.references) for example, new in answered if new is not None
    ]


def is_on_hub(file: SetFile) -> bool:
    """Whether a set is read from the hub, as no folder of data sets is given."""
    return not is_file_of_rows(file.name) and data_folder(file.data) is None


def check_files(file: SetFile) -> None:
    """Check that a training set exists, without reading it or asking the Hub.

    Args:
        file: The set.

    Raises:
        InputError: The file is missing, or the set is not on the Hub.
    """
    if is_on_hub(file):
        _check_on_hub(file.name)
    else:
        _local_file(file)


def _records(file: SetFile) -> Iterable[dict[str, Any]]:
    if is_on_hub(file):
        return _from_hub(file)
    path = _local_file(file)
    return stream_records(path, set_name(file.name), file.train_format, file.fields)


def _local_file(file: SetFile) -> Path:
    if is_file_of_rows(file.name):
        path = Path(file.name)
        if not path.is_file():
            key = "train_set" if file.split == "train" else "valid_set"
            raise InputError(f"{key}={path}: no such file{nearest_path(path)}")
        return path
    folder, name = data_folder(file.data), file.name
    assert folder is not None  # noqa: S101 - else the set is on the Hub
    files = [folder / name / f"{file.split}{ending}" for ending in (".jsonl", ".jsonl.gz")]
    for path in files:
        if path.is_file():
            return path
    raise InputError(
        f"{files[0]}: no such file (nor .gz); training needs {name}/train.jsonl and "
        f"{name}/valid.jsonl in data=, or a file: train_set=FILE.jsonl"
    )


def _check_on_hub(name: str) -> None:
    if name not in _HUB:
        raise InputError(f"train_set={name}: this set is not on the hub; pass data=DIR")


def _from_hub(file: SetFile) -> list[dict[str, Any]]:
    _check_on_hub(file.name)
    name, module = file.name, load_module("tasks/instruction.py")
    repository, of_hub, validation = _HUB[name]
    try:
        path = module.download(name, repository, of_hub, "main")
    except ValueError as error:
        raise InputError(str(error)) from None
    rows = list(stream_records(path, name, file.train_format, file.fields))
    return rows[:validation] if file.split == "valid" else rows[validation:]

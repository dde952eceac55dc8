"""Training and validation sets: rows of the `data=DIR` layout, as token ids."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.task import data_folder
from kdbench.views.rollout import Example

Split = Literal["train", "valid"]
# Where MiniLLM publishes its training set; its first thousand rows are the validation set.
_HUB = {"dolly": ("MiniLLM/dolly", "raw.jsonl", 1000)}


@dataclass(frozen=True)
class Lengths:
    """Limits in tokens.

    Attributes:
        prompt: longer prompts are dropped or cut.
        total: prompt and response; a longer response is cut and has no EOS.
        long_prompts: `drop` rows with longer prompts, as MiniLLM does, or `cut` them on the right,
            as DistiLLM does (the marker of the response is lost).
    """

    prompt: int
    total: int
    long_prompts: Literal["drop", "cut"]


@dataclass(frozen=True)
class DataSet:
    """Encoded rows.

    Attributes:
        examples: in the order of the file.
        records: the row of each example, as text.
        rows: number of rows in the file.
        dropped: rows whose prompt was too long.
        sha256: of ids, prompts and responses of all rows used, as text.
    """

    examples: Sequence[Example]
    records: Sequence[Mapping[str, Any]]
    rows: int
    dropped: int
    sha256: str


def load_set(
    data: Path | None,
    name: str,
    split: Split,
    tokenizer: Any,
    lengths: Lengths,
    limit: int | None = None,
) -> DataSet:
    """Read and encode a set.

    Args:
        data: folder with `<name>/<split>.jsonl` (or `.jsonl.gz`); None is KDBENCH_DATA, else hub.
        name: of the set, such as `dolly`.
        split: which file.
        tokenizer: the student's.
        lengths: limits.
        limit: first so many rows.

    Raises:
        InputError: a missing or malformed file, or nothing left in it.
    """
    rows = _rows(data, name, split)[:limit]
    module = load_module("tasks/instruction.py")
    texts = [(row, module.doc_to_text(row)) for row in rows]
    pairs = [(e, row) for row, text in texts if (e := _encode(tokenizer, row, text, lengths))]
    if not pairs:
        raise InputError(f"{name}/{split}: no row has a prompt of {lengths.prompt} tokens or less")
    content = [[row["id"], text, row["output"]] for row, text in texts]
    sha256 = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    examples, records = zip(*pairs, strict=True)
    return DataSet(examples, records, len(rows), len(rows) - len(pairs), sha256)


def load_texts(path: Path, tokenizer: Any, length: int) -> list[tuple[int, ...]]:
    """Plain texts, one JSON object with `text` a line, cut into pieces of `length` tokens.

    Raises:
        InputError: a missing file, a bad line, or no text.
    """
    from kdbench.system.files import LinesFile

    if not path.is_file():
        raise InputError(f"pretraining={path}: no such file")
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
    examples: Sequence[Example],
    texts: Mapping[str, tuple[str, bool]],
    tokenizer: Any,
    lengths: Lengths,
) -> list[Example]:
    """The examples with other responses.

    Args:
        examples: of the training set.
        texts: by id: the response, and whether it ended by itself.
        tokenizer: of the student.
        lengths: limits.
    """
    return [
        Example(one.id, one.prompt_ids, response, one.references)
        for one in examples
        if (response := _response(tokenizer, *texts[one.id], lengths.total - len(one.prompt_ids)))
    ]


def _encode(
    tokenizer: Any, row: dict[str, Any], prompt_text: str, lengths: Lengths
) -> Example | None:
    prompt = tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
    if len(prompt) > lengths.prompt and lengths.long_prompts == "drop":
        return None
    prompt = tuple(prompt[: lengths.prompt])
    response = _response(tokenizer, row["output"][0], True, lengths.total - len(prompt))
    return Example(row["id"], prompt, response, tuple(row["output"]))


def _response(tokenizer: Any, text: str, ended: bool, room: int) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tuple([*ids, *[tokenizer.eos_token_id] * ended][:room])


def _rows(data: Path | None, name: str, split: Split) -> list[dict[str, Any]]:
    folder = data_folder(data)
    if folder is None:
        return list(_from_hub(name, split))
    found = [folder / name / f"{split}{ending}" for ending in (".jsonl", ".jsonl.gz")]
    for path in found:
        if path.is_file():
            return list(_read(path, name))
    raise InputError(
        f"{found[0]}: no such file (nor .gz); training needs {name}/train.jsonl and "
        f"{name}/valid.jsonl in data="
    )


def _read(path: Path, name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from load_module("tasks/instruction.py").read_rows(path, name, None)
    except ValueError as error:
        raise InputError(str(error)) from None


def _from_hub(name: str, split: Split) -> Iterator[dict[str, Any]]:
    if name not in _HUB:
        raise InputError(f"train_set={name}: not on the hub; pass data=DIR")
    repository, file, validation = _HUB[name]
    module = load_module("tasks/instruction.py")
    try:
        path = module.download(name, repository, file, "main")
    except ValueError as error:
        raise InputError(str(error)) from None
    rows = list(_read(path, name))
    yield from rows[:validation] if split == "valid" else rows[validation:]

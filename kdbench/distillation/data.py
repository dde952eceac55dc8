"""Training and validation sets: examples of the `data=DIR` layout, as token ids."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from kdbench.distillation.prompts import PLAIN, message_of, prompt_of
from kdbench.errors import InputError
from kdbench.generate.prompts import encode_prompt
from kdbench.protocol import Protocol
from kdbench.system.bundled import load_module
from kdbench.system.files import LinesFile
from kdbench.task import data_folder
from kdbench.views.rollout import Example

Split = Literal["train", "valid"]
# Where MiniLLM publishes its training set; the first thousand rows are the validation set.
_HUB = {"dolly": ("MiniLLM/dolly", "raw.jsonl", 1000)}


@dataclass(frozen=True)
class Lengths:
    """Length limits in tokens.

    Attributes:
        prompt: Longest prompt; longer ones are dropped or cut.
        total: Longest prompt and response together; a longer response is cut and has no EOS.
        long_prompts: `drop` leaves out examples with longer prompts, as MiniLLM does; `cut` cuts
            them on the right, as DistiLLM does, and loses the marker before the response.
    """

    prompt: int
    total: int
    long_prompts: Literal["drop", "cut"]


@dataclass(frozen=True)
class DataSet:
    """An encoded training or validation set.

    Attributes:
        examples: The examples in the order of the file.
        records: The row of each example, as text.
        rows: Number of rows read.
        dropped: Number of rows whose prompt was too long.
        cut: Number of examples whose response was cut, and which therefore have no end token.
        sha256: SHA-256 of the ids, prompts and responses of all rows read, as text.
    """

    examples: Sequence[Example]
    records: Sequence[Mapping[str, Any]]
    rows: int
    dropped: int
    cut: int
    sha256: str


def load_set(
    data: Path | None,
    name: str,
    split: Split,
    tokenizer: Any,
    lengths: Lengths,
    limit: int | None = None,
    prompts: Protocol = PLAIN,
) -> DataSet:
    """Read and encode a set.

    Prompt and response are tokenized separately. With SmolLM2's tokenizer this gives the same
    tokens as tokenizing them together, as MiniLLM's code does; with a SentencePiece-style tokenizer
    the first token of the response differs.

    Args:
        data: Folder with `<name>/<split>.jsonl` (or `.jsonl.gz`); None looks at KDBENCH_DATA, then
            at the hub.
        name: Name of the set, such as `dolly`.
        split: Which file of the set.
        tokenizer: The student's tokenizer.
        lengths: Length limits.
        limit: Read only the first N rows; None reads all.
        prompts: The form of the prompts, and whether they begin with BOS.

    Raises:
        InputError: the file is missing or malformed, a prompt has no token, or no row is left.
    """
    rows = _rows(data, name, split)[:limit]
    texts = [(row, prompt_of(row)) for row in rows]
    pairs = [
        (example, row) for row in rows if (example := _encode(tokenizer, row, prompts, lengths))
    ]
    if not pairs:
        raise InputError(
            f"{name}/{split}: every prompt is longer than {lengths.prompt} tokens; raise "
            "max_prompt_tokens=, or pass long_prompts=cut"
        )
    content = [[row["id"], text, row["output"]] for row, text in texts]
    sha256 = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    examples, records = zip(*pairs, strict=True)
    cut = sum(example.response_ids[-1] != tokenizer.eos_token_id for example in examples)
    return DataSet(examples, records, len(rows), len(rows) - len(pairs), cut, sha256)


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
    responses: Mapping[str, tuple[str, bool]],
    tokenizer: Any,
    lengths: Lengths,
) -> list[Example]:
    """Replace the responses of examples; those whose new response is empty are left out.

    A response that did not end by itself, because of the length limit, gets no end token, so the
    student does not learn to stop there. MiniLLM's code appends one to every response.

    Args:
        examples: The training examples.
        responses: By id, the response as text and whether it ended by itself.
        tokenizer: The student's tokenizer.
        lengths: Length limits.
    """
    replaced = []
    for example in examples:
        text, ended = responses[example.id]
        room = lengths.total - len(example.prompt_ids)
        if ids := _response(tokenizer, text, ended, room):
            replaced.append(Example(example.id, example.prompt_ids, ids, example.references))
    return replaced


def _encode(
    tokenizer: Any, row: dict[str, Any], prompts: Protocol, lengths: Lengths
) -> Example | None:
    prompt = encode_prompt(tokenizer, prompts, prompt_of(row), message_of(row)).ids
    if len(prompt) > lengths.prompt and lengths.long_prompts == "drop":
        return None
    prompt = prompt[: lengths.prompt]
    response = _response(tokenizer, row["output"][0], True, lengths.total - len(prompt))
    return Example(row["id"], prompt, response, tuple(row["output"]))


def _response(tokenizer: Any, text: str, ended: bool, room: int) -> tuple[int, ...]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tuple([*ids, *[tokenizer.eos_token_id] * ended][:room])


def check_files(data: Path | None, name: str) -> None:
    """Check that a training set exists, without reading it or asking the Hub.

    Args:
        data: Folder of the data sets, as for `load_set`.
        name: Name of the set.

    Raises:
        InputError: A file is missing, or the set is not on the Hub.
    """
    folder = data_folder(data)
    if folder is None:
        _check_on_hub(name)
        return
    for split in get_args(Split):
        _file(folder, name, split)


def _rows(data: Path | None, name: str, split: Split) -> list[dict[str, Any]]:
    folder = data_folder(data)
    if folder is None:
        return list(_from_hub(name, split))
    return list(_read(_file(folder, name, split), name))


def _file(folder: Path, name: str, split: Split) -> Path:
    files = [folder / name / f"{split}{ending}" for ending in (".jsonl", ".jsonl.gz")]
    for path in files:
        if path.is_file():
            return path
    raise InputError(
        f"{files[0]}: no such file (nor .gz); training needs {name}/train.jsonl and "
        f"{name}/valid.jsonl in data="
    )


def _read(path: Path, name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from load_module("tasks/instruction.py").read_rows(path, name, None)
    except ValueError as error:
        raise InputError(str(error)) from None


def _check_on_hub(name: str) -> None:
    if name not in _HUB:
        raise InputError(f"train_set={name}: this set is not on the hub; pass data=DIR")


def _from_hub(name: str, split: Split) -> Iterator[dict[str, Any]]:
    _check_on_hub(name)
    repository, file, validation = _HUB[name]
    module = load_module("tasks/instruction.py")
    try:
        path = module.download(name, repository, file, "main")
    except ValueError as error:
        raise InputError(str(error)) from None
    rows = list(_read(path, name))
    yield from rows[:validation] if split == "valid" else rows[validation:]

"""`kdbench data`: the papers' files become a folder for `data=`, without a change of their texts.

Only what the layout needs is added or dropped: rows get ids, a single reference becomes a list,
and the prompt that MiniLLM's files repeat is left out, as kdbench makes the same one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from kdbench.errors import InputError, nearest, nearest_path
from kdbench.exchange.papers.numbers import numbers
from kdbench.exchange.papers.sources import SETS, PapersSet
from kdbench.exchange.settings import DataSettings
from kdbench.system.bundled import load_module
from kdbench.system.files import put_text
from kdbench.system.safe_yaml import read_yaml_file
from kdbench.task import known_tasks
from kdbench.text import counted

_INSTRUCTION = "tasks/instruction.py"
_VALIDATION_ROWS = 1000  # from the start of Dolly's raw.jsonl; the others are for training
_FEWEST_WORDS = 6  # of half of the references of the papers' classes; 0_2 and 3_5 have fewer

PapersRow = dict[str, Any]


@dataclass(frozen=True)
class ConvertedFile:
    """A file of the new folder.

    Attributes:
        task: Name of the data set.
        split: `test`, `valid` or `train`.
        source: File that its rows are from.
        rows: The rows.
        notes: What a reader of its scores must know.
        of_papers: Whether its content is the papers'; None if their content is not known.
    """

    task: str
    split: str
    source: Path
    rows: Sequence[PapersRow] = field(repr=False)
    notes: tuple[str, ...] = ()
    of_papers: bool | None = None

    @property
    def name(self) -> str:
        """Its path in the folder."""
        return f"{self.task}/{self.split}.jsonl"

    @property
    def text(self) -> str:
        """Its content."""
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in self.rows)


@dataclass(frozen=True)
class ConvertedData:
    """The outcome of `kdbench data`.

    Attributes:
        out: The folder.
        files: Its files.
        absent: Data sets that the source does not have.
        written: Names of the files that were not there before; of a dry run none.
    """

    out: Path
    files: tuple[ConvertedFile, ...]
    absent: tuple[str, ...]
    written: tuple[str, ...] = ()


def convert(settings: DataSettings) -> ConvertedData:
    """Turn the papers' files into a folder for `data=`; nothing is written if one is wrong.

    Args:
        settings: Settings of `kdbench data`.

    Raises:
        InputError: The source has none of the data sets, a row is broken, a set is not the one that
            the papers score, or a file exists with another content.
    """
    source = settings.source
    if not source.is_dir():
        raise InputError(f"source={source}: no such folder{nearest_path(source)}")
    places = {papers: papers.place(source) for papers in _chosen(settings)}
    files = [
        file
        for papers, place in places.items()
        if place is not None
        for file in _files(papers, place)
    ]
    if not files:
        folders = ", ".join(papers.folder for papers in places)
        raise InputError(f"source={source}: no folder of the papers' data in it: {folders}")
    absent = [papers.task for papers, place in places.items() if place is None]
    changed = [file for file in files if not _is_written(settings.out / file.name, file.text)]
    if not settings.dry_run:
        for file in changed:
            (settings.out / file.task).mkdir(parents=True, exist_ok=True)
            put_text(settings.out / file.name, file.text)
    names = () if settings.dry_run else tuple(file.name for file in changed)
    return ConvertedData(settings.out, tuple(files), tuple(absent), names)


def _chosen(settings: DataSettings) -> list[PapersSet]:
    known = {papers.task: papers for papers in SETS}
    for name in settings.sets:
        if name not in known:
            raise InputError(f"sets={name}: {nearest(name, known)}")
    return [known[name] for name in settings.sets or known]


def _is_written(path: Path, text: str) -> bool:
    """Whether a file has this content already.

    Raises:
        InputError: It has another one.
    """
    if not path.exists():
        return False
    if not path.is_file() or path.read_bytes() != text.encode():
        raise InputError(f"{path}: exists with another content; give another out=, or move it away")
    return True


def _files(papers: PapersSet, place: Path) -> Iterator[ConvertedFile]:
    file = place / "valid.jsonl"
    if not file.is_file():
        raise InputError(f"{place}: no valid.jsonl, the test set of the papers, in it")
    yield _test(papers, file)
    raw = place / "raw.jsonl"
    if papers.task == "dolly" and raw.is_file():
        rows, notes = _rows(papers, raw)
        numbered = [_row(row, f"dolly-raw-{line:05d}") for line, row in enumerate(rows)]
        valid = [
            {**row, "id": f"dolly-valid-{line:04d}"}
            for line, row in enumerate(numbered[:_VALIDATION_ROWS])
        ]
        if len(numbered) <= _VALIDATION_ROWS:
            raise InputError(
                f"{raw}: {counted(len(numbered), 'row')}; the first {_VALIDATION_ROWS} are for "
                "validation, and none are left to train on"
            )
        yield ConvertedFile("dolly", "valid", raw, valid, notes)
        yield ConvertedFile("dolly", "train", raw, numbered[_VALIDATION_ROWS:])


def _test(papers: PapersSet, file: Path) -> ConvertedFile:
    rows, notes = _rows(papers, file)
    if papers.first is not None:
        _check_class(file, rows)
        if len(rows) < papers.first:
            notes += (f"the papers use the first {papers.first} rows, and here are {len(rows)}",)
    # Rows without a number in their source have that of their line.
    numbered = zip(numbers(papers.task, rows) or range(len(rows)), rows, strict=True)
    named = [
        _row(row, f"{papers.prefix}-{number:04d}", papers.topic)
        for number, row in sorted(numbered, key=itemgetter(0))
    ]
    known = read_yaml_file(known_tasks()[papers.task])["metadata"].get("content_sha256")
    of_papers = None if known is None else _content_sha256(named) == known
    if of_papers is False:
        notes += ("the content is not that of the papers' rows: scores do not compare with theirs",)
    return ConvertedFile(papers.task, "test", file, named, notes, of_papers)


def _content_sha256(rows: Sequence[PapersRow]) -> str:
    return str(load_module(_INSTRUCTION).content_sha256(rows))


def _check_class(file: Path, rows: Sequence[PapersRow]) -> None:
    """Check that references are as long as those that the papers score.

    Raises:
        InputError: Most are far shorter.
    """
    words = median(len(reference.split()) for row in rows for reference in row["output"])
    if words < _FEWEST_WORDS:
        raise InputError(
            f"{file}: half of the references have {words:g} words or fewer: a class of short "
            "references, and the papers score that of 11 tokens or more (11_)"
        )


def _rows(papers: PapersSet, file: Path) -> tuple[list[PapersRow], tuple[str, ...]]:
    """The checked rows of a file with their topics, and what is odd about their prompts.

    Raises:
        InputError: A row is broken; the message names its line.
    """
    instruction = load_module(_INSTRUCTION)
    try:
        checked = list(instruction.read_rows(file, papers.task, papers.first))
    except ValueError as error:
        raise InputError(str(error)) from None
    with file.open(encoding="utf-8-sig") as lines:
        raws = [json.loads(line) for line, _ in zip((x for x in lines if x.strip()), checked)]  # noqa: B905 - rows after the first ones are not read
    rows = [
        {**row, "topic": raw.get("topic", raw.get(papers.topic))}
        for row, raw in zip(checked, raws, strict=True)
    ]
    different = [
        place
        for place, raw in enumerate(raws)
        if "prompt" in raw and raw["prompt"] != instruction.doc_to_text(checked[place])
    ]
    if not different:
        return rows, ()
    note = (
        f"{counted(len(different), 'prompt')} of the file differ from those that kdbench makes, "
        f"the first in row {different[0] + 1}"
    )
    return rows, (note,)


def _row(row: Mapping[str, Any], name: str, topic: str = "category") -> PapersRow:
    kept = {"id": name, **{key: row[key] for key in ("instruction", "input", "output")}}
    return kept if row["topic"] is None else {**kept, topic: row["topic"]}

"""`kdbench build`: from rows and models to a data set with a card.

During the build everything is in `<out>.unfinished`, and the same command continues with what is
in it. `<out>` appears when it is complete.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdbench.builders import BuiltRow
from kdbench.builders.workshop.card import CARD, DataCard, make_card, read_card
from kdbench.builders.workshop.identity import BuildIdentity, check_same, identity_of
from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.protocol import protocol_of
from kdbench.builders.workshop.readme import README, readme
from kdbench.builders.workshop.recipe import BuildRecipe
from kdbench.builders.workshop.source import SourceRows
from kdbench.builders.workshop.workshop import Workshop
from kdbench.distillation.rows import stream_records
from kdbench.errors import InputError
from kdbench.system.environment import environment
from kdbench.system.files import (
    LinesFile,
    json_text,
    put_bytes,
    put_text,
    sync_entries,
    sync_folder,
)
from kdbench.system.locks import only_here
from kdbench.system.records import damaged, read_record

_IDENTITY, _WORK, _WHOLE, _LOCK = "identity.json", "work", "whole", ".lock"
_TRAIN, _REMOVED, _RUN = "train.jsonl", "removed.jsonl", "run.json"


@dataclass(frozen=True)
class Built:
    """What `build` returns.

    Attributes:
        folder: The folder of the data set, for `data=`.
        card: How it was made.
        is_new: Whether this call made it.
    """

    folder: Path
    card: DataCard
    is_new: bool

    @property
    def train_file(self) -> Path:
        """The file of its training rows."""
        return self.folder / self.card.set / _TRAIN


def build(recipe: BuildRecipe) -> Built:
    """Build a data set, resume its build, or return it if it exists.

    Raises:
        InputError: Anything about models, data or settings that the user can fix.
    """
    protocol_of(recipe.settings)  # a bad field is known before anything is read
    out, source = recipe.out, SourceRows(recipe.settings)
    if out.is_symlink() and not out.exists():
        raise InputError(f"out={out}: a link that leads nowhere; delete it, or pass another out=")
    if out.exists() and not (out / CARD).is_file():
        raise InputError(f"out={out}: exists, and kdbench did not build it; pass another out=")
    models = find_models(recipe.settings, recipe.builder)
    identity = identity_of(recipe, source, models)
    folder = out.with_name(f"{out.name}.unfinished")
    if out.exists() and not folder.exists():
        return Built(out, _finished(out, identity), False)
    busy = f"{folder}: another kdbench process is building here; wait until it has finished"
    with only_here(folder / _LOCK, busy, wait=out.exists()):
        is_new = not out.exists()
        if is_new:
            _claim(folder, identity)
            _make(recipe, Workshop(recipe.settings, source, models, folder / _WORK), identity, out)
        card = _finished(out, identity)
        shutil.rmtree(folder)
    return Built(out, card, is_new)


def _finished(out: Path, identity: BuildIdentity) -> DataCard:
    """The card of a folder that is complete.

    Raises:
        InputError: Other settings made it, or a file of it has changed since.
    """
    card = read_card(out)
    check_same(card.identity, identity, out)
    if (changed := damaged(card.files, out)) is not None:
        raise InputError(f"{changed}: has changed since it was built; delete {out} or pass out=…")
    return card


def _claim(folder: Path, identity: BuildIdentity) -> None:
    """Check that a folder of unfinished work is this build's, or make it so."""
    if _has_work(folder):
        check_same(read_record(folder / _IDENTITY, BuildIdentity), identity, folder)
    put_text(folder / _IDENTITY, identity.model_dump_json(indent=1) + "\n")


def _has_work(folder: Path) -> bool:
    """Whether there is something to lose: what a model said, or another step's result."""
    return any(file.is_file() for file in (folder / _WORK).rglob("*"))


def _make(recipe: BuildRecipe, work: Workshop, identity: BuildIdentity, out: Path) -> None:
    """Write the set, and put it where it belongs; a fault before any work leaves no folder."""
    folder = work.folder.parent
    try:
        _write(recipe, work, identity, folder / _WHOLE)
        (folder / _WHOLE).rename(out)
        sync_entries(out.parent)
    finally:
        work.stop()
        if not out.exists() and not _has_work(folder):
            shutil.rmtree(folder)


def _write(recipe: BuildRecipe, work: Workshop, identity: BuildIdentity, whole: Path) -> None:
    """Write the whole set; what models said before is read from the folder of the work."""
    start = time.monotonic()
    shutil.rmtree(whole, ignore_errors=True)
    train, name = whole / work.rows.name / _TRAIN, recipe.settings.builder
    rows = 0
    train.parent.mkdir(parents=True)
    with (
        train.open("w", encoding="utf-8", newline="\n") as file,
        LinesFile(whole / _REMOVED).appending() as add_removed,
    ):
        work.removing_to(add_removed.add)
        for line in _lines(recipe.builder.build(work), name):
            file.write(line)
            rows += 1
    if not rows:
        raise InputError(
            f"builder={name}: kept none of {work.rows.count} rows; {_figures(work.figures)}"
        )
    _check_learnable(train, work.rows.name, name)
    _copy_validation(work.rows, whole)
    card = make_card(recipe, work, identity, whole, rows)
    content = json.loads(card.model_dump_json(by_alias=True))
    put_text(whole / CARD, json_text(content))
    put_text(whole / README, readme(card))
    run = {
        "schema": 1,
        "command": recipe.command,
        "environment": environment(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_of_last_call": round(time.monotonic() - start, 3),
    }
    put_text(whole / _RUN, json_text(run))
    sync_folder(whole)


def _lines(rows: Iterator[BuiltRow], builder: str) -> Iterator[str]:
    """Yield rows as lines, whose ids are all different; numbers keep every digit.

    Raises:
        InputError: A row is none; the line names it and the builder.
    """
    if not isinstance(rows, Iterable):
        raise InputError(f"builder={builder}: its build() must yield rows; it returned {rows!r}")
    seen = set[str]()
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise InputError(f"builder={builder}: row {number} must have columns by name: {row!r}")
        if row.get("id") is None:
            raise InputError(f"builder={builder}: row {number} has no 'id'; give it one of its own")
        name = str(row["id"])
        if name in seen:
            raise InputError(f"builder={builder}: wrote a second row with the id '{name}'")
        seen.add(name)
        try:
            line = json.dumps(row, allow_nan=False, ensure_ascii=False, sort_keys=True)
            line.encode()  # refuses lone surrogates
        except (TypeError, ValueError) as error:
            raise InputError(f"builder={builder}: row '{name}' is not JSON: {error}") from None
        yield f"{line}\n"


def _check_learnable(train: Path, name: str, builder: str) -> None:
    """Check that training will read the rows.

    Raises:
        InputError: It will not; the line names the row, as its file is removed.
    """
    try:
        for _ in stream_records(train, name, None):
            pass
    except InputError as error:
        fault = str(error).removeprefix(f"{train}:")
        raise InputError(
            f"builder={builder}: no training reads what it wrote: row {fault}"
        ) from None


def _copy_validation(source: SourceRows, whole: Path) -> None:
    """Copy the validation file, as a student of the new rows is validated on the same texts."""
    if (file := source.validation_file()) is not None:
        name = "valid.jsonl.gz" if file.name.endswith(".gz") else "valid.jsonl"
        put_bytes(whole / source.name / name, file.read_bytes())
        return
    rows = list(source.validation_rows())
    if rows:
        LinesFile(whole / source.name / "valid.jsonl").replace(rows)


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items()) or "it says no more"

"""`kdbench build`: from rows and models to a data set with a card.

During the build everything is in `<out>.unfinished`, and the same command continues with what is
in it. `<out>` appears when it is complete.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdbench.builders import BuiltRow
from kdbench.builders.workshop.card import CARD, DataCard, make_card, read_card
from kdbench.builders.workshop.identity import BuildIdentity, check_same, identity_of
from kdbench.builders.workshop.models import find_models
from kdbench.builders.workshop.protocol import protocol_of
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
from kdbench.system.records import read_record

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
    models = find_models(recipe.settings, recipe.builder)
    identity = identity_of(recipe, source, models)
    if out.exists():
        card = read_card(out)
        check_same(card.identity, identity, out)
        return Built(out, card, False)
    if out.is_symlink():
        raise InputError(f"out={out}: a link that leads nowhere; delete it, or pass another out=")
    folder = out.with_name(f"{out.name}.unfinished")
    busy = f"{folder}: another kdbench process is building here; wait until it has finished"
    with only_here(folder / _LOCK, busy):
        if out.exists():  # another process was faster
            return Built(out, read_card(out), False)
        _claim(folder, identity)
        work = Workshop(recipe.settings, source, models, folder / _WORK)
        try:
            card = _write(recipe, work, identity, folder)
        finally:
            work.stop()
        (folder / _WHOLE).rename(out)
        sync_entries(out.parent)
        shutil.rmtree(folder)
    return Built(out, card, True)


def _claim(folder: Path, identity: BuildIdentity) -> None:
    """Check that a folder of unfinished work is this build's, or make it so."""
    if (folder / _IDENTITY).exists():
        check_same(read_record(folder / _IDENTITY, BuildIdentity), identity, folder)
    put_text(folder / _IDENTITY, identity.model_dump_json(indent=1) + "\n")


def _write(recipe: BuildRecipe, work: Workshop, identity: BuildIdentity, folder: Path) -> DataCard:
    """Write the whole set; what models said before is read from the folder of the work."""
    start, whole = time.monotonic(), folder / _WHOLE
    shutil.rmtree(whole, ignore_errors=True)
    train = whole / work.rows.name / _TRAIN
    rows = 0
    with (
        LinesFile(train).appending() as add,
        LinesFile(whole / _REMOVED).appending() as add_removed,
    ):
        work.removing_to(add_removed.add)
        for row in _checked(recipe.builder.build(work)):
            add.add(row)
            rows += 1
    if not rows:
        raise InputError(
            f"builder={recipe.settings.builder}: kept none of {work.rows.count} rows; "
            f"{_figures(work.figures)}"
        )
    for _ in stream_records(train, work.rows.name, None):  # so that training will read it
        pass
    _copy_validation(work.rows, whole)
    card = make_card(recipe, work, identity, whole, rows)
    content = json.loads(card.model_dump_json(by_alias=True))
    put_text(whole / CARD, json_text(content))
    run = {
        "schema": 1,
        "command": recipe.command,
        "environment": environment(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_of_last_call": round(time.monotonic() - start, 3),
    }
    put_text(whole / _RUN, json_text(run))
    sync_folder(whole)
    return card


def _checked(rows: Iterator[BuiltRow]) -> Iterator[Mapping[str, Any]]:
    """Yield rows whose ids are all different."""
    seen = set[str]()
    for row in rows:
        name = str(row.get("id"))
        if name in seen:
            raise InputError(f"the builder wrote a second row with the id '{name}'")
        seen.add(name)
        yield row


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

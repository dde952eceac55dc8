"""Keys of `kdbench fill` and `kdbench demo`."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from kdbench.config.building import build, with_files
from kdbench.config.executor import ExecutorKeys
from kdbench.config.kinds import AtLeastOne, DryRunKeys, Names, Settings, fields_by_key
from kdbench.config.plugins import PluginKeys
from kdbench.config.storage import FolderKeys, StorageKeys
from kdbench.config.track import TrackerKeys
from kdbench.config.words import read_words


class FillKeys(Settings, group="Table"):
    """Which table is filled, and how."""

    table: str = Field(description="Table file, or the name of a bundled one")
    plan: bool = Field(
        False, description="Dry run: print what is done and what is missing, and do nothing"
    )
    dry_run: bool = Field(False, description="The same as --plan")
    rows: Names = Field(
        (),
        description="Rows to train and measure now, by label; others stay as they are "
        "(default: all)",
    )
    checkpoints: bool = Field(
        False,
        description="Whether to train rows whose evaluations are stored but whose checkpoints are "
        "not here, for kdbench frontier and kdbench analyse budget",
    )
    device: str | None = Field(
        None, description="Device: cpu, cuda or mps (default: chosen automatically)"
    )
    changes: dict[str, str] = Field(
        {},
        description="Changes to keys of the table file; on the command line each is a key with "
        "dots, as in evaluate.limit=20",
    )


class FillFolderKeys(Settings, group="Folders"):
    """Where a table's files are."""

    data: Path | None = Field(
        None, description="Folder of the data sets (default: as in the table file)"
    )
    models: Path | None = Field(
        None, description="Folder of the checkpoints (default: as in the table file)"
    )
    results: Path | None = Field(
        None, description="Folder of the results (default: as in the table file)"
    )


class FillSettings(
    FillKeys,
    FillFolderKeys,
    ExecutorKeys,
    TrackerKeys,
    StorageKeys,
    PluginKeys,
    positional=("table",),
):
    """`kdbench fill TABLE.yaml`: train and measure what a table lacks, and draw it."""

    __places__: ClassVar[FolderKeys] = {"models": "write", "results": "write"}


class MechanismSettings(StorageKeys, PluginKeys, positional=("table",), group="Table"):
    """`kdbench mechanisms TABLE`: which methods moved what their ideas should move."""

    table: str = Field(description="Table file, or the name of a bundled one")
    results: Path | None = Field(
        None, description="Folder of the results (default: as in the table file)"
    )
    format: Literal["terminal", "md", "csv", "json"] = Field(
        "terminal", description="Form in which the table is printed"
    )


class DemoSettings(DryRunKeys, group="Options"):
    """`kdbench demo`: the whole pipeline on a toy data set."""

    out: Path = Field(Path("runs/demo"), description="Folder of the toy data and checkpoints")
    results: Path = Field(Path("results/demo"), description="Folder of the results and the table")
    steps: AtLeastOne | None = Field(
        None, description="Number of optimiser steps per training (default: one epoch)"
    )
    limit: AtLeastOne | None = Field(
        None, description="Number of documents to use, from the start of each task"
    )
    chat: bool = Field(
        False, description="Whether to train a chat model with a thinking mode too, in OUT/chat"
    )


S = TypeVar("S", bound=Settings)


def parse_with_changes(kind: type[S], arguments: Sequence[str]) -> S:
    """Settings with a key `changes`, which gets the words whose key has dots.

    Raises:
        InputError: An unknown key or a bad value.
    """
    fields = fields_by_key(kind)
    words = read_words(arguments, fields, kind.__positional__)
    changes = {key: str(value) for key, value in words.items() if "." in key}
    plain = {key: value for key, value in words.items() if "." not in key}
    settings = build(kind, with_files(plain, fields))
    return settings.model_copy(update={"changes": changes}) if changes else settings


def parse_fill(arguments: Sequence[str]) -> FillSettings:
    """Settings from words: `TABLE.yaml workers=2 evaluate.limit=20 --plan`.

    Raises:
        InputError: An unknown key or a bad value.
    """
    return parse_with_changes(FillSettings, arguments)

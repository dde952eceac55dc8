"""The card of a data set that was built: how it was made, from what, and what that cost."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from kdbench.builders.workshop.identity import BuildIdentity
from kdbench.builders.workshop.recipe import BuildRecipe
from kdbench.builders.workshop.workshop import Workshop
from kdbench.system.files import SCHEMA, sha256_of_file
from kdbench.system.records import read_record
from kdbench.version import __version__

CARD = "card.json"


class DataCard(BaseModel):
    """The content of `card.json`; equal builds have equal bytes.

    Attributes:
        schema_: Version of this layout.
        builder: Name of the builder.
        title: What it is called.
        paper: Who described it.
        adapted: What was changed from the paper.
        identity: All that decides the rows.
        set: Name of the set in the folder.
        rows_in: Number of rows that were read.
        rows_out: Number of rows that were written.
        figures: What the builder says about the rows, by name.
        cost: What was asked of each model: responses, tokens, floating-point operations.
        files: SHA-256 of each file of the set.
        kdbench: Version of kdbench.
    """

    schema_: int = Field(SCHEMA, alias="schema", serialization_alias="schema")
    builder: str
    title: str
    paper: str
    adapted: str = ""
    identity: BuildIdentity
    set: str
    rows_in: int
    rows_out: int
    figures: dict[str, Any]
    cost: dict[str, dict[str, int]]
    files: dict[str, str]
    kdbench: str = __version__


def make_card(
    recipe: BuildRecipe, work: Workshop, identity: BuildIdentity, folder: Path, rows: int
) -> DataCard:
    """The card of a set whose files are complete.

    Args:
        recipe: The settings and the builder.
        work: What the builder worked with.
        identity: The identity of the build.
        folder: The folder of the files.
        rows: Number of rows that were written.
    """
    builder = recipe.builder
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return DataCard(
        builder=recipe.settings.builder,
        title=builder.title,
        paper=builder.paper,
        adapted=builder.adapted,
        identity=identity,
        set=work.rows.name,
        rows_in=work.rows.count,
        rows_out=rows,
        figures=work.figures,
        cost={key: dict(sorted(cost.items())) for key, cost in sorted(work.cost.items())},
        files={file.relative_to(folder).as_posix(): sha256_of_file(file) for file in files},
    )


def read_card(folder: Path) -> DataCard:
    """The card in the folder of a data set.

    Raises:
        InputError: There is none, or it is damaged.
    """
    return read_record(folder / CARD, DataCard)

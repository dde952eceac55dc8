"""Keys of `kdbench fill` and `kdbench demo`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from kdbench.config.kinds import AtLeastOne, Settings
from kdbench.config.words import parse


class FillSettings(Settings):
    """`kdbench fill TABLE.yaml`: train and measure what is missing of a table, and draw it."""

    table: str = Field(description="the table's file, or the name of a bundled one")
    plan: bool = Field(False, description="print what is there and what is missing; do nothing")
    workers: AtLeastOne = Field(1, description="trainings and evaluations side by side")
    data: Path | None = Field(None, description="folder of the data sets (else the table's)")
    models: Path | None = Field(None, description="folder of checkpoints (else the table's)")
    results: Path | None = Field(None, description="folder of results (else the table's)")
    device: str | None = Field(None, description="cpu, cuda, mps (else found)")
    changes: dict[str, str] = Field(
        {}, description="the table's own keys go over its file by dots: evaluate.limit=20"
    )


class DemoSettings(Settings):
    """`kdbench demo`: the whole pipeline on the embedded toy world."""

    out: Path = Field(Path("runs/demo"), description="folder for the toy data and checkpoints")
    results: Path = Field(Path("results/demo"), description="folder of the results and the table")
    steps: int | None = Field(None, ge=1, description="of each training (default: an epoch)")
    limit: int | None = Field(None, ge=1, description="first so many documents of each task")


def parse_fill(arguments: Sequence[str]) -> FillSettings:
    """Settings from words: `TABLE.yaml workers=2 evaluate.limit=20 --plan`.

    Raises:
        InputError: an unknown key or a bad value.
    """
    named = [word for word in arguments if "=" not in word and not word.startswith("--")]
    dotted = [word for word in arguments if "=" in word and "." in word.partition("=")[0]]
    words = [f"table={word}" if word in named[:1] else word for word in arguments]
    settings = parse(FillSettings, [word for word in words if word not in dotted])
    changes = {key: value for key, _, value in (word.partition("=") for word in dotted)}
    return settings.model_copy(update={"changes": changes})

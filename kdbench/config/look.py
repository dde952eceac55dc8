"""Keys of `kdbench ls` and `kdbench show`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from kdbench.config.kinds import Names, Settings
from kdbench.config.storage import StorageKeys

Listable = Literal["runs", "recipes", "tables", "baselines"]


class PlaceKeys(Settings):
    """Where stored things are."""

    results: Path = Field(Path("results"), description="Folder of the results")
    gates: Path = Field(Path("baselines/gates"), description="Folder of the gates' baselines")


class LsSettings(PlaceKeys, StorageKeys, positional=("what",)):
    """`kdbench ls [runs|recipes|tables|baselines]`."""

    what: Listable | None = Field(None, description="What to list (default: all of it)")
    model: str | None = Field(
        None, description="Part of the name of the models or methods whose runs are listed"
    )
    limit: int | None = Field(None, ge=1, description="Number of runs to list, the newest first")


class ShowSettings(PlaceKeys, StorageKeys, positional=("run",)):
    """`kdbench show RUN`."""

    run: str = Field(
        description="Run (folder, model, method or end of its path), gate's baseline, recipe or "
        "table; or the name of a task, metric, method, backend or protocol"
    )
    metrics: Names = Field(
        (),
        description="Metrics to show for each task of a run, by name (default: the main one, and "
        "means over tasks of all)",
    )

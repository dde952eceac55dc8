"""Keys of `kdbench build` that all builders share."""

from pathlib import Path

from pydantic import Field, model_validator

from kdbench.config.kinds import DryRunKeys, FolderName, Settings
from kdbench.config.measure import BackendKeys, HardwareKeys, TrustKeys
from kdbench.config.plugins import PluginKeys
from kdbench.config.protocol import ProtocolKeys


class BuilderNameKeys(Settings, group="Builder"):
    """Which builder works."""

    builder: str = Field(description="Builder; see kdbench builders")


class SourceDataKeys(Settings, group="Data"):
    """Which rows a builder reads."""

    data: Path | None = Field(
        None, description="Folder of the data sets (default: $KDBENCH_DATA, else the Hub)"
    )
    train_set: str = Field(
        "dolly",
        description="Data set to read: its train.jsonl in data=, or the path of a .jsonl file; its "
        "valid.jsonl is copied",
    )
    limit: int | None = Field(None, ge=1, description="Number of rows to read, from the start")
    max_length: int = Field(
        512,
        ge=2,
        description="Longest prompt and response together of a text to be scored, in tokens; what "
        "is longer is cut",
    )


class BuiltSetKeys(Settings, group="Output"):
    """Where the data set goes."""

    out: Path | None = Field(
        None, description="Folder of the data set (default: runs/built/BUILDER)"
    )
    set_name: FolderName | None = Field(
        None, description="Name of the set in that folder (default: that of the set it reads)"
    )
    seed: int = Field(10, ge=0, lt=2**32, description="Seed of all draws and samples")


class BuildSettings(
    BuilderNameKeys,
    SourceDataKeys,
    BuiltSetKeys,
    DryRunKeys,
    ProtocolKeys,
    BackendKeys,
    HardwareKeys,
    TrustKeys,
    PluginKeys,
    positional=("builder",),
):
    """`kdbench build BUILDER …`: read prompts and models, and write a data set."""

    @model_validator(mode="after")
    def _seed_decides(self) -> "BuildSettings":
        if self.seeds is not None:
            raise ValueError("seeds= belongs to kdbench eval; kdbench build takes seed=")
        return self

"""Keys of `kdbench speed`."""

from pathlib import Path

from pydantic import Field, field_validator

from kdbench.config.kinds import AtLeastOne, Counts, DryRunKeys, FolderName, Settings
from kdbench.config.measure import BackendKeys, DeviceKeys, ModelKeys, TrustKeys
from kdbench.config.plugins import PluginKeys


class LoadKeys(Settings, group="Load"):
    """What the model has to do while it is timed."""

    prompt_tokens: AtLeastOne = Field(256, description="Length of each prompt, in tokens")
    new_tokens: AtLeastOne = Field(
        128, description="Length of each response, in tokens; end tokens are ignored"
    )
    concurrency: Counts = Field(
        (1, 8), description="Numbers of requests at a time, each measured by itself"
    )
    requests: AtLeastOne = Field(
        16,
        description="Number of timed requests of each repeat, rounded up to a multiple of the "
        "concurrency",
    )
    repeats: AtLeastOne = Field(3, description="Number of repeats, whose spread is reported")

    @field_validator("concurrency")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("must be different numbers, one at least")
        return value


class SpeedOutputKeys(Settings, group="Output"):
    """Where the speed is stored."""

    results: Path = Field(Path("results"), description="Folder of the results")
    name: FolderName | None = Field(
        None, description="Model's name in results and tables (default: its folder's or file's)"
    )
    again: bool = Field(False, description="Measure again what is stored for the same load")


class SpeedSettings(
    ModelKeys,
    LoadKeys,
    SpeedOutputKeys,
    DryRunKeys,
    DeviceKeys,
    BackendKeys,
    TrustKeys,
    PluginKeys,
    positional=("model",),
):
    """`kdbench speed model=…`: time a model under a stated load."""

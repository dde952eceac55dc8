"""Keys of `kdbench frontier`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kdbench.config.judge import JudgeKeys
from kdbench.config.kinds import DryRunKeys, Names, Settings, given_keys, split_list
from kdbench.config.measure import HardwareKeys, TaskKeys, TrustKeys
from kdbench.config.plugins import PluginKeys
from kdbench.config.protocol import ProtocolKeys
from kdbench.config.storage import FolderKeys, StorageKeys

TEMPERATURES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2)
"""Temperatures at which a curve has its points."""


def _ascending(value: tuple[float, ...]) -> tuple[float, ...]:
    ordered = tuple(sorted(round(temperature, 6) for temperature in value))
    if len(set(ordered)) < max(2, len(value)):
        raise ValueError("must be two or more different numbers: one point is no curve")
    return ordered


Temperatures = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1e6)], ...],
    BeforeValidator(split_list),
    AfterValidator(_ascending),
]


class FrontierKeys(Settings, group="Students"):
    """Which students are compared, and with which one."""

    table: str | None = Field(
        None,
        description="Table file, or the name of a bundled one: the checkpoints of its rows, of all "
        "training seeds",
    )
    students: Names = Field(
        (), description="Checkpoints to compare, in place of a table: folders, or names on the Hub"
    )
    rows: Names = Field((), description="Students to compare, by label (default: all)")
    baseline: str | None = Field(
        None,
        description="Student whose curve the others are compared with, by label (default: the "
        "table's undistilled, else SFT)",
    )
    changes: dict[str, str] = Field(
        {},
        description="Changes to keys of the table file, the same as when it was filled; on the "
        "command line each is a key with dots, as in teacher.train.student=path/to/model",
    )


class CurveKeys(Settings, group="Curves"):
    """What the curves are."""

    temperatures: Temperatures = Field(
        TEMPERATURES,
        description="Sampling temperatures at which each student is measured; 0 is greedy decoding",
    )
    metric: str | None = Field(
        None,
        description="Metric of quality, also a judge's with judge= (default: rougeL, or the "
        "tasks' main metric)",
    )


class FrontierOutputKeys(DryRunKeys, group="Output"):
    """Where checkpoints are, and where the numbers go."""

    models: Path | None = Field(
        None, description="Folder of the table's checkpoints (default: as in the table file)"
    )
    results: Path | None = Field(
        None,
        description="Folder of the results, in whose folder frontier/ the runs at each temperature "
        "are (default: the table's, else results)",
    )
    format: Literal["terminal", "md", "csv", "json"] = Field(
        "terminal", description="Form in which the table is printed"
    )


class FrontierSettings(
    FrontierKeys,
    CurveKeys,
    FrontierOutputKeys,
    TaskKeys,
    ProtocolKeys,
    JudgeKeys,
    HardwareKeys,
    TrustKeys,
    StorageKeys,
    PluginKeys,
    positional=("table",),
):
    """`kdbench frontier TABLE`: quality against entropy of every student."""

    __places__: ClassVar[FolderKeys] = {"models": "read", "results": "write"}

    @model_validator(mode="after")
    def _keys_agree(self) -> "FrontierSettings":
        given = set(given_keys(self))
        if self.table is not None and self.students:
            raise ValueError("students= and a table both name students; give one of them")
        if self.table is None and "models" in given:
            raise ValueError("models= is a table's folder; name the table, or give students=")
        if "temperature" in given:
            raise ValueError("temperature=: a curve has several; give temperatures=")
        if self.judge_against is not None:
            raise ValueError("judge_against= gives no score of a single student; leave it out")
        return self

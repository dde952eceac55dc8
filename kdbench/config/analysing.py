"""Keys that all analyses of `kdbench analyse` have; each has more of its own."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from kdbench.config.executor import ExecutorKeys
from kdbench.config.kinds import AtLeastOne, DryRunKeys, Settings, _split_seeds
from kdbench.config.plugins import PluginKeys


def _count_or_list(value: object) -> object:
    """A lone number counts the seeds; `10,11` and `10-14` list them."""
    is_count = isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal())
    return value if is_count else _split_seeds(value)


def _different(value: object) -> object:
    """Refuse a list that no table takes, before a world is made for it."""
    if isinstance(value, tuple) and (not value or len(set(value)) < len(value) or min(value) < 0):
        raise ValueError("must be a number from 1 to 100, or a list of different seeds from 0")
    return value


class AnalysisModelKeys(Settings, group="Models and data"):
    """What an analysis works on."""

    world: Path = Field(
        Path("runs/analyses/world"),
        description="Folder of the toy world, which is made if it does not exist, and which all "
        "analyses share",
    )
    teacher: str | None = Field(
        None,
        description="Teacher's checkpoint, instead of the toy world's; give student= and data= too",
    )
    student: str | None = Field(None, description="Checkpoint from which students start")
    data: Path | None = Field(None, description="Folder of the data sets")


class AnalysisTrainingKeys(Settings, group="Training and evaluation"):
    """How models are trained and measured; `train.KEY=` and `evaluate.KEY=` set any other key."""

    train_seeds: Annotated[
        Annotated[int, Field(ge=1, le=100)] | tuple[int, ...],
        BeforeValidator(_count_or_list),
        AfterValidator(_different),
    ] = Field(5, description="Training seeds of each condition: how many, or a list")
    steps: AtLeastOne | None = Field(
        None, description="Optimiser steps per training (default: the analysis's own)"
    )
    limit: AtLeastOne | None = Field(
        None, description="Documents of each task to measure (default: the analysis's own)"
    )
    device: str | None = Field(
        None, description="Device: cpu, cuda or mps (default: chosen automatically)"
    )
    changes: dict[str, str] = Field(
        {},
        description="Further keys of all trainings and evaluations; on the command line each is a "
        "key with dots, as in train.learning_rate=1e-3 or evaluate.seeds=[10]",
    )


class AnalysisFolderKeys(Settings, group="Output"):
    """Where an analysis keeps its models and its answer."""

    out: Path = Field(
        Path("runs/analyses"), description="Folder of the checkpoints, in a folder of the analysis"
    )
    results: Path = Field(
        Path("results/analyses"),
        description="Folder of the answers NAME.json, NAME.md and NAME.svg, and of the results in "
        "NAME",
    )


class AnalysisKeys(
    AnalysisModelKeys,
    AnalysisTrainingKeys,
    AnalysisFolderKeys,
    ExecutorKeys,
    DryRunKeys,
    PluginKeys,
):
    """The keys of every analysis."""


class ShownAnalysesKeys(Settings, group="Analyses"):
    """Which answers of analyses a report shows."""

    analyses: Path = Field(
        Path("results/analyses"),
        description="Folder of the answers that kdbench analyse wrote, which the page Analyses "
        "shows",
    )

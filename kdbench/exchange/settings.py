"""Keys of `kdbench card`, `push`, `export`, `import` and `data`."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from kdbench.config import DryRunKeys, Names, Settings

_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


class RunKeys(Settings, group="Run"):
    """Which stored run is passed on."""

    run: str = Field(description="Folder of a run, or name of a model in the results")
    results: Path = Field(Path("results"), description="Folder of the results")


class CardKeys(Settings, group="Card"):
    """What a model card says beyond the results."""

    checkpoint: Path | None = Field(
        None,
        description="Folder of the checkpoint that was measured: its run card says how it was made",
    )
    metrics: Names = Field(
        (), description="Metrics to show, by name (default: the main ones that were measured)"
    )
    license: str | None = Field(
        None, description="Identifier of the model's license, such as apache-2.0 or mit"
    )
    base_model: Names = Field(
        (), description="Names on the Hub of the models that the student was made from"
    )
    datasets: Names = Field((), description="Names on the Hub of the training data")
    language: Names = Field((), description="Languages, as codes such as en")
    eval_results: Names = Field(
        (),
        description="Benchmarks of the Hub that tasks are, as TASK:DATASET:TASK_ID, such as "
        "gsm8k:openai/gsm8k:gsm8k; each becomes a file in .eval_results/",
    )
    overwrite: bool = Field(
        False, description="Replace a card, or a part of it, that was edited by hand"
    )

    @field_validator("eval_results")
    @classmethod
    def _benchmarks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            parts = item.split(":")
            if len(parts) < 3 or not all(parts) or not _REPOSITORY.fullmatch(parts[-2]):
                raise ValueError(f"{item}: must be TASK:DATASET:TASK_ID, with a DATASET of the Hub")
        return value


class CardSettings(RunKeys, CardKeys, positional=("run",)):
    """`kdbench card RUN`: write the model card of a measured checkpoint."""

    out: Path = Field(Path("-"), description="File of the card; - is standard output")


class PushKeys(Settings, group="Hub"):
    """Where the files go."""

    repo: str = Field(description="Model repository on the Hub, as ORG/NAME")
    private: bool = Field(True, description="Whether a repository that does not exist is private")
    samples: bool = Field(False, description="Whether prompts, references and responses go too")
    message: str | None = Field(
        None, description="Commit message (default: names the model and the tasks)"
    )

    @field_validator("repo")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _REPOSITORY.fullmatch(value):
            raise ValueError("must be ORG/NAME")
        return value


class PushSettings(RunKeys, PushKeys, CardKeys, DryRunKeys, positional=("run",)):
    """`kdbench push RUN repo=ORG/NAME`: put card, results and checkpoint on the Hub."""


class ExportSettings(RunKeys, positional=("run",)):
    """`kdbench export RUN format=lm_eval`: write a run in the form of another tool."""

    format: Literal["lm_eval"] = Field("lm_eval", description="Form: lm_eval")
    out: Path = Field(Path("lm_eval_results"), description="Folder of the files")


class ImportSettings(Settings, group="Options", positional=("file",)):
    """`kdbench import FILE`: make a stored run of another tool's results."""

    file: Path = Field(description="results_….json of lm-eval, or a folder with one")
    results: Path = Field(Path("results"), description="Folder of the results")
    name: str | None = Field(
        None, description="Model's name in results and tables (default: as in the file)"
    )
    method: str | None = Field(None, description="Row label in tables (default: the name)")
    setting: str | None = Field(None, description="Setting that the run belongs to")


class PapersDataKeys(Settings, group="Options"):
    """Which of the papers' data are turned into a folder, and where it is."""

    source: Path = Field(
        description="Folder with the authors' files: data/ of MiniLLM's code, downloads of the "
        "data sets MiniLLM/* of the Hub, or the Hub's cache"
    )
    out: Path = Field(Path("data"), description="Folder for data=")
    sets: Names = Field((), description="Data sets to take, by task (default: all that are there)")


class DataSettings(PapersDataKeys, DryRunKeys, positional=("source",)):
    """`kdbench data SOURCE`: turn the papers' data files into a folder for `data=`."""

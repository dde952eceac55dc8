"""The keys of `kdbench compare`, `kdbench regress` and `kdbench plan`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from kdbench.comparing.tolerance import parse_tolerances
from kdbench.comparing.verdict import Rules
from kdbench.config import DryRunKeys, EvalSettings, Names, Seeds, Settings
from kdbench.config.plugins import PluginKeys
from kdbench.config.storage import FolderKeys, StorageKeys
from kdbench.stats.defaults import POWER, RESAMPLES

GATES = Path("baselines/gates")


def _check_tolerances(text: str) -> str:
    parse_tolerances(text)
    return text


def _empty_for_none(value: object) -> object:
    return "" if value is None else value


Tolerances = Annotated[str, AfterValidator(_check_tolerances)]
TextOrEmpty = Annotated[str, BeforeValidator(_empty_for_none)]


class GateSettings(Settings):
    """How two runs are compared, and which files are written."""

    tolerance: Tolerances | None = Field(
        None,
        description="Largest acceptable loss of each metric, in its unit or in percent of the "
        "base's mean, as in rougeL:0.5,cut_off:0.02 or rougeL:2% (default: the baseline's, "
        "else rougeL:0.5)",
    )
    alpha: float = Field(0.05, gt=0, le=0.5, description="Level of the tests, over all rows")
    strict: bool = Field(False, description="Whether a row that is worse also fails the gate")
    require_conclusive: bool = Field(
        False,
        description="Whether a row that was not shown to be within its tolerance also fails",
    )
    allow_partial: bool = Field(
        False, description="Whether only the tasks and prompts that both runs have are compared"
    )
    by: Literal["category"] | None = Field(
        None,
        description="Set to category to also test the prompts of each category: a row for each, "
        "which counts like any other row",
    )
    interval: Literal["flip", "bootstrap", "hierarchical"] = Field(
        "flip",
        description="Kind of interval: inverted tests, bootstrap over prompts, or "
        "bootstrap over prompts and their seeds (needs samples)",
    )
    resamples: int = Field(
        RESAMPLES,
        ge=1000,
        le=1_000_000,
        description="Number of bootstrap resamples, and of sign flips for more than 20 prompts",
    )
    gates: Path = Field(GATES, description="Folder of the gates' baselines")
    markdown: Path | None = Field(None, description="Markdown file for a pull-request comment")
    junit: Path | None = Field(None, description="JUnit XML file, with a test for each row")
    json_file: Path | None = Field(None, alias="json", description="JSON file with every number")

    @property
    def outputs(self) -> tuple[Path | None, ...]:
        """The output files; None for one that is not written."""
        return self.markdown, self.junit, self.json_file

    @property
    def rules(self) -> Rules:
        """When the gate fails."""
        return Rules(self.alpha, self.strict, self.require_conclusive)


class CompareSettings(
    GateSettings, DryRunKeys, StorageKeys, PluginKeys, positional=("base", "new")
):
    """`kdbench compare BASE NEW`: compare two stored runs, or a gate's baseline and a run."""

    base: str = Field(
        description="Run to compare with: run folder, model or recipe in results=, or gate's "
        "baseline"
    )
    new: str = Field(
        description="Run to judge: run folder, or model or recipe in results=; a recipe is the "
        "label of a table's row, with all its training seeds"
    )
    results: Path = Field(Path("results"), description="Folder of the results")
    data: Path | None = Field(
        None,
        description="Folder of the data sets, to show prompts and references of losses "
        "(default: KDBENCH_DATA)",
    )
    tasks: Names = Field(
        (),
        description="Names of the tasks to compare (default: all on which a run has a metric of "
        "tolerance= by prompt; of a gate's baseline all)",
    )


class RegressSettings(EvalSettings, GateSettings):
    """`kdbench regress model=… baseline=…`: measure a checkpoint and compare it with a baseline.

    It takes the keys of `kdbench eval` as well. Those that say what is measured default to the
    baseline; with --update there is no baseline yet, and most default to those of `kdbench eval`.
    """

    __places__: ClassVar[FolderKeys] = {}

    model: TextOrEmpty = Field(
        "",
        description="Checkpoint to measure: folder, GGUF file, or model on the Hub (org/name or "
        "org/name@revision)",
    )
    run: Path | None = Field(
        None,
        description="Stored run to judge, instead of model=: run folder, or model in results=",
    )
    baseline: str = Field(
        description="Gate's baseline: name in gates=, or file; or run folder, or model in results="
    )
    update: bool = Field(
        False, description="Whether the baseline is written instead of being compared with"
    )
    reason: str | None = Field(
        None, description="Reason for the new baseline, stored in it (required with --update)"
    )
    texts: int = Field(
        100,
        ge=0,
        description="With --update, largest number of prompts of each task whose texts the "
        "baseline keeps, to show a later loss without the samples; 0 for none",
    )
    tasks: Names = Field(
        (),
        description="Task names, lm-eval YAML files or prompts (default: the baseline's tasks; "
        f"with --update {','.join(EvalSettings.model_fields['tasks'].default)})",
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="Number of documents to use of each task (default: the baseline's; "
        "with --update all)",
    )
    protocol: TextOrEmpty = Field(
        "",
        description="Named protocol: minillm, greedy or chat (default: the baseline's, with its "
        f"overrides; with --update {EvalSettings.model_fields['protocol'].default})",
    )
    metrics: Names = Field(
        (), description="Metrics to measure, by name (default: the metrics of the tolerance)"
    )

    @model_validator(mode="after")
    def _check_combination(self) -> "RegressSettings":
        if bool(self.model) == (self.run is not None):
            raise ValueError(
                "give either model=CHECKPOINT to measure, or run=FOLDER of a stored run"
            )
        for key in ("shard", "shards"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"{key}= is only for kdbench eval; compare once all shards are complete"
                )
        if self.update and not (self.reason or "").strip():
            raise ValueError(
                "reason= is missing: --update needs the reason for the new baseline, as in "
                'reason="new data"'
            )
        if not self.update and self.reason is not None:
            raise ValueError("reason= is only for --update; without it no baseline is written")
        return self


class PlanSettings(Settings, positional=("run", "against")):
    """`kdbench plan run=… tolerance=…`: how many prompts and seeds a gate needs."""

    run: str = Field(
        description="Run whose variance is used: run folder, or model in results=; of a recipe "
        "with several training seeds, the plan says how many of them are needed"
    )
    against: str | None = Field(
        None,
        description="Second run or recipe; the variance of the difference between the two is then "
        "used",
    )
    tolerance: Tolerances = Field(
        "rougeL:0.5", description="Smallest loss of each metric that the gate must detect"
    )
    alpha: float = Field(0.05, gt=0, le=0.5, description="Level of the gate's tests")
    power: float = Field(POWER, gt=0, lt=1, description="Probability of detecting that loss")
    seeds: Seeds = Field((1, 2, 3, 5, 10), description="Numbers of seeds to plan for")
    train_seeds: Seeds = Field(
        (2, 3, 5, 10), description="Numbers of training seeds to plan for, if run= is a recipe"
    )
    results: Path = Field(Path("results"), description="Folder of the results")
    gates: Path = Field(GATES, description="Folder of the gates' baselines")
    tasks: Names = Field((), description="Names of the tasks to plan for (default: all)")

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("must be numbers of seeds, as in 1,3,5")
        return tuple(sorted(set(value)))

    @field_validator("train_seeds")
    @classmethod
    def _check_train_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 2:
            raise ValueError("must be numbers of training seeds of 2 or more, as in 2,3,5")
        return tuple(sorted(set(value)))

"""The keys of `kdbench compare`, `kdbench regress` and `kdbench plan`."""

import warnings
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from kdbench.comparing.tolerance import read_tolerances
from kdbench.comparing.verdict import Rules
from kdbench.config import EvalSettings, Names, Seeds, Settings
from kdbench.stats.paired import POWER, RESAMPLES

GATES = Path("baselines/gates")


def _readable(text: str) -> str:
    read_tolerances(text)
    return text


Tolerances = Annotated[str, AfterValidator(_readable)]

with warnings.catch_warnings():
    # `json=` is the key that users expect; pydantic's deprecated method of the name is not used.
    warnings.filterwarnings("ignore", message='Field name "json"')

    class GateSettings(Settings):
        """How two sides are compared, and what is written down."""

        tolerance: Tolerances | None = Field(
            None,
            description="how much worse is fine: rougeL:0.5,cut_off:0.02 or rougeL:2% "
            "(default: the baseline's, else rougeL:0.5)",
        )
        alpha: float = Field(0.05, gt=0, le=0.5, description="level of the tests, over all rows")
        strict: bool = Field(False, description="a row that is worse within its tolerance fails")
        require_conclusive: bool = Field(
            False, description="a row that is not shown to be within its tolerance fails"
        )
        allow_partial: bool = Field(
            False, description="compare the tasks and prompts that both have"
        )
        interval: Literal["flip", "bootstrap", "hierarchical"] = Field(
            "flip",
            description="sign flips turned round, bootstrap over prompts, or over prompts and "
            "their seeds (needs samples)",
        )
        resamples: int = Field(
            RESAMPLES, ge=1000, le=1_000_000, description="sign flips beyond 20 prompts; bootstrap"
        )
        gates: Path = Field(GATES, description="folder of the gates' baselines")
        markdown: Path | None = Field(None, description="file for a pull-request comment")
        junit: Path | None = Field(None, description="file of JUnit XML")
        json: Path | None = Field(None, description="file of all numbers")  # type: ignore[assignment]

        @property
        def rules(self) -> Rules:
            """When the gate fails."""
            return Rules(self.alpha, self.strict, self.require_conclusive)


class CompareSettings(GateSettings):
    """`kdbench compare BASE NEW`: two stored runs, or a gate's baseline and a run."""

    base: str = Field(description="what is compared with: run folder, model in results=, or gate")
    new: str = Field(description="what is judged: run folder, or model in results=")
    results: Path = Field(Path("results"), description="folder of the results")
    tasks: Names = Field((), description="tasks by name; none given means all")


class RegressSettings(EvalSettings, GateSettings):
    """`kdbench regress model=… baseline=…`: measure a checkpoint and compare it; keys of eval too.

    Tasks, limit, protocol and metrics that are not given are those of the baseline.
    """

    model: str | None = Field(  # type: ignore[assignment]
        None, description="checkpoint folder, GGUF file, or a name on the hub"
    )
    run: Path | None = Field(None, description="folder of a stored run, instead of model=")
    baseline: str = Field(description="a gate's name or file; or a run folder or a stored model")
    update: bool = Field(False, description="write the baseline instead of comparing with it")
    reason: str | None = Field(None, description="why the baseline is (re)written, for --update")

    @model_validator(mode="after")
    def _one_side_and_a_reason(self) -> "RegressSettings":
        if (self.model is None) == (self.run is None):
            raise ValueError("give model=CHECKPOINT to measure, or run=FOLDER of a stored run")
        if self.shard is not None:
            raise ValueError("shard= is for kdbench eval; compare once all shards are there")
        if self.update and not (self.reason or "").strip():
            raise ValueError(
                'reason= is missing: say why the baseline changes, as in reason="new data"'
            )
        if not self.update and self.reason is not None:
            raise ValueError("reason= is for --update; without it no baseline is written")
        return self


class PlanSettings(Settings):
    """`kdbench plan run=… tolerance=…`: how many prompts and seeds a gate needs."""

    run: str = Field(description="run folder, or model in results=, whose variance counts")
    against: str | None = Field(
        None, description="a second run: then the variance of their difference counts"
    )
    tolerance: Tolerances = Field(
        "rougeL:0.5", description="what a gate is to tell apart from no change"
    )
    alpha: float = Field(0.05, gt=0, le=0.5, description="level of the gate's tests")
    power: float = Field(POWER, gt=0, lt=1, description="chance to tell it apart")
    seeds: Seeds = Field((1, 2, 3, 5, 10), description="numbers of seeds to plan for")
    results: Path = Field(Path("results"), description="folder of the results")
    gates: Path = Field(GATES, description="folder of the gates' baselines")
    tasks: Names = Field((), description="tasks by name; none given means all")

    @field_validator("seeds")
    @classmethod
    def _counts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("must be numbers of seeds, as in 1,3,5")
        return tuple(sorted(set(value)))

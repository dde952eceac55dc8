"""Keys of `kdbench score`."""

from pathlib import Path

from pydantic import Field, model_validator

from kdbench.config.kinds import DryRunKeys, Settings, given_keys
from kdbench.config.measure import DataKeys, MetricKeys, ResultKeys, refuse
from kdbench.config.plugins import PluginKeys
from kdbench.config.protocol import ProtocolKeys


class TextKeys(Settings, group="Samples"):
    """What is scored: a file of texts, or a stored run."""

    samples: Path | None = Field(
        None, description="JSONL file of samples, one object per line: id, output, seed"
    )
    task: str | None = Field(
        None,
        description="Task that the samples answer: a name, an lm-eval YAML file, or prompts such "
        "as FILE.jsonl",
    )
    run: Path | None = Field(
        None,
        description="Stored run to score again, instead of samples=: run folder, or model in "
        "results=",
    )


class ScoreSettings(
    TextKeys,
    DataKeys,
    ProtocolKeys,
    MetricKeys,
    ResultKeys,
    DryRunKeys,
    PluginKeys,
    positional=("run",),
):
    """`kdbench score samples=FILE task=…`: score texts made elsewhere, or a stored run again."""

    protocol: str = Field(
        "external",
        description="Protocol that the texts were made with; external is an unknown one",
    )

    @model_validator(mode="after")
    def _a_stored_run_fixes_the_rest(self) -> "ScoreSettings":
        if self.run is not None and self.samples is None:
            used = {"run", "task", "data", "metrics", "run_code", "results"}
            used |= {"thinking", "thinking_marks", "dry_run", "plugins"}
            refuse(set(given_keys(self)) - used, "has no effect with run=, which records it")
        return self

"""The keys of `kdbench judge`."""

from pathlib import Path

from pydantic import Field, model_validator

from kdbench.config import DryRunKeys, EvalSettings, Names, Settings
from kdbench.config.judge import JudgeKeys
from kdbench.config.measure import HardwareKeys, TrustKeys
from kdbench.config.plugins import PluginKeys


class JudgedKeys(Settings, group="Run"):
    """What is judged: a stored run."""

    run: str = Field(description="Run whose responses are judged: run folder, or model in results=")
    results: Path = Field(Path("results"), description="Folder of the results")
    data: Path | None = Field(
        None, description="Folder of the data sets (default: $KDBENCH_DATA, else the Hub)"
    )
    tasks: Names = Field(
        (), description="Tasks to judge: names, or paths of their files (default: all of the run)"
    )
    run_code: Names = Field((), description="Tasks to judge that run code that the model wrote")


class JudgeSettings(
    JudgedKeys,
    JudgeKeys,
    DryRunKeys,
    HardwareKeys,
    TrustKeys,
    PluginKeys,
    positional=("run", "judge_against"),
):
    """`kdbench judge RUN [AGAINST] judge=…`: grade a run's responses, or compare them."""

    @model_validator(mode="after")
    def _needs_a_judge(self) -> "JudgeSettings":
        if self.judge is None:
            raise ValueError("judge= is missing: openai:MODEL on a server, or a checkpoint")
        return self


def of_evaluation(settings: EvalSettings, run: Path) -> JudgeSettings:
    """How the responses of an evaluation are judged.

    Args:
        settings: Keys of the evaluation, with `judge=`.
        run: Folder of its run.
    """
    kept = set(JudgeSettings.model_fields) & settings.model_fields_set - {"tasks", "run_code"}
    values = {key: getattr(settings, key) for key in kept}
    return JudgeSettings(**{**values, "run": str(run)})

"""The keys of `kdbench judge`."""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator

from kdbench.config import DryRunKeys, EvalSettings, Names, Settings, parse
from kdbench.config.judge import JudgeKeys
from kdbench.config.measure import HardwareKeys, TrustKeys
from kdbench.config.plugins import PluginKeys
from kdbench.errors import InputError


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


class JudgeSettings(JudgedKeys, JudgeKeys, DryRunKeys, HardwareKeys, TrustKeys, PluginKeys):
    """`kdbench judge RUN [AGAINST] judge=…`: grade a run's responses, or compare them."""

    @model_validator(mode="after")
    def _needs_a_judge(self) -> "JudgeSettings":
        if self.judge is None:
            raise ValueError("judge= is missing: openai:MODEL on a server, or a checkpoint")
        return self


def parse_judge(arguments: Sequence[str]) -> JudgeSettings:
    """Settings from the command line, such as `RUN AGAINST judge=openai:gpt-4o`.

    Args:
        arguments: Arguments of the verb.

    Raises:
        InputError: A key is unknown, or a value is wrong.
    """
    positional = iter(("run", "judge_against"))
    keyed = []
    for argument in arguments:
        if re.match(r"\w+=|--", argument):
            keyed.append(argument)
        elif key := next(positional, None):
            keyed.append(f"{key}={argument}")
        else:
            raise InputError(f"'{argument}': judge takes RUN, AGAINST and key=value arguments only")
    return parse(JudgeSettings, keyed)


def of_evaluation(settings: EvalSettings, run: Path) -> JudgeSettings:
    """How the responses of an evaluation are judged.

    Args:
        settings: Keys of the evaluation, with `judge=`.
        run: Folder of its run.
    """
    kept = set(JudgeSettings.model_fields) & settings.model_fields_set - {"tasks", "run_code"}
    values = {key: getattr(settings, key) for key in kept}
    return JudgeSettings(**{**values, "run": str(run)})

"""The next useful command after a verb, made of the values that the verb was given."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.config import (
    FIVE,
    EvalSettings,
    ReportSettings,
    ScoreSettings,
    SpeedSettings,
    TableSettings,
)
from kdbench.system.secrets import has_key, is_secret

if TYPE_CHECKING:
    from kdbench.builders.workshop.build import Built
    from kdbench.comparing.settings import RegressSettings
    from kdbench.distillation.recipe import Recipe
    from kdbench.distillation.train import Trained
    from kdbench.judging.settings import JudgeSettings
    from kdbench.judging.work import JudgedRun
    from kdbench.measuring.measurement import Evaluation

_FIDELITY = ("acceptance@student", "top1@student", "fkl@teacher")
_MOST_COLUMNS = 4


def after_build(built: "Built") -> str:
    """A training on the new set."""
    data, name = shlex.quote(str(built.folder)), shlex.quote(built.card.set)
    return f"kdbench train method=sft student=path/to/student data={data} train_set={name}"


def after_eval(settings: EvalSettings | ScoreSettings, evaluation: "Evaluation") -> str:
    """The table, with fidelity if there was a teacher."""
    results = evaluation.results.values()
    known = {name for result in results for name in result.metrics}
    fidelity = [name.partition("@")[0] for name in _FIDELITY if name in known]
    main = list(dict.fromkeys(result.main_metric for result in results))
    columns = [*main, *fidelity][:_MOST_COLUMNS] if fidelity else []
    if any("," in name for name in columns):  # a name with a comma can only come from a file
        columns = fidelity
    return _table(settings.results, list(evaluation.results), columns)


def after_judge(settings: "JudgeSettings", judged: "JudgedRun") -> str:
    """The table of the judge's metrics."""
    return _table(settings.results, list(judged.results), ["judging"])


def after_train(recipe: "Recipe", trained: "Trained") -> str:
    """The evaluation of the checkpoint, compared with its teacher if it had one."""
    settings = recipe.settings
    return command(
        "eval", model=trained.checkpoint, teacher=getattr(settings, "teacher", None),
        data=settings.data if settings.data and Path(settings.data).is_dir() else None,
    )  # fmt: skip


def after_speed(settings: SpeedSettings) -> str:
    """The table with quality and speed."""
    return _table(settings.results, [], ["rougeL", "parameters", "tokens_per_second"])


def after_fill(results: Path) -> str:
    """The report on the table's runs."""
    return command("report", results=_unless(results, TableSettings, "results"))


def after_report(settings: ReportSettings) -> str:
    """The view of the report, where this kdbench has one."""
    from kdbench.cli.app import app

    known = {registered.name for registered in app.registered_commands}
    return shlex.join(["kdbench", "view", str(settings.out)]) if "view" in known else ""


def after_update(settings: "RegressSettings") -> str:
    """The gate that uses the new baseline."""
    return command(
        "regress", run=settings.run, model=settings.model or None, baseline=settings.baseline,
        data=settings.data,
    )  # fmt: skip


def after_doctor(of: str, words: Sequence[str]) -> str:
    """The command that was checked; none if it holds a secret, as logs of terminals are kept."""
    text = shlex.join(["kdbench", of, *words])
    names = re.findall(r"(\w+)=", text)
    has_secret = has_key(text) or any(is_secret(n) for n in names if n != "judge_key_env")
    return "" if has_secret else text


def command(verb: str, **values: Any) -> str:
    """A command line of `key=value` words, quoted for a shell; None leaves a key out."""
    words = [f"{key}={value}" for key, value in values.items() if value is not None]
    return shlex.join(["kdbench", verb, *words])


def _table(results: Path, tasks: Sequence[str], columns: Sequence[str]) -> str:
    usual = set(tasks) <= set(FIVE) or any("," in task for task in tasks)
    return command(
        "table",
        results=_unless(results, TableSettings, "results"),
        tasks=None if usual else ",".join(tasks),
        columns=",".join(columns) or None,
    )


def _unless(value: Path, kind: type[TableSettings], key: str) -> Path | None:
    """The value, unless it is the default of a key."""
    return None if value == kind.model_fields[key].default else value

"""kdbench: benchmark distilled language-model students and compare them in one table.

    import kdbench

    evaluation = kdbench.evaluate(model="path/to/student", data="path/to/data", limit=20)
    table = kdbench.table(results="results")
    print(table)

Every function takes the keys of the command of the same name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.comparing.model import Comparison
    from kdbench.comparing.plan import GatePlan
    from kdbench.comparing.regress import GateResult
    from kdbench.comparing.training_plan import TrainingPlan
    from kdbench.distillation.train import Trained
    from kdbench.filling.table import Filled
    from kdbench.judging.work import JudgedRun
    from kdbench.measuring.measurement import Evaluation
    from kdbench.serving.speed import SpeedMeasurement
    from kdbench.site import Report
    from kdbench.tables import Table

__all__ = [
    "InputError",
    "compare",
    "evaluate",
    "fill",
    "judge",
    "plan",
    "regress",
    "report",
    "score",
    "speed",
    "table",
    "train",
]

from kdbench.errors import InputError
from kdbench.version import __version__ as __version__


def _for_real(settings: Any) -> Any:
    """The settings, unless they ask for a dry run, whose result is text for a terminal."""
    if settings.dry_run:
        raise InputError("dry_run= is for the command line; the function measures and writes")
    return settings


def evaluate(**settings: Any) -> "Evaluation":
    """Measure a checkpoint; takes the keys of `kdbench eval --help`.

    Raises:
        InputError: Anything about model, data, tasks or settings that the caller can fix.
    """
    from kdbench.config import EvalSettings, build
    from kdbench.evaluation import evaluate as run

    return run(_for_real(build(EvalSettings, settings)))


def score(**settings: Any) -> "Evaluation":
    """Score texts that were made elsewhere; takes the keys of `kdbench score --help`.

    Raises:
        InputError: Anything about samples, data or settings that the caller can fix.
    """
    from kdbench.config import ScoreSettings, build
    from kdbench.measuring.given_texts import score as run

    return run(_for_real(build(ScoreSettings, settings)))


def speed(**settings: Any) -> "SpeedMeasurement":
    """Time a model under a stated load; takes the keys of `kdbench speed --help`.

    Raises:
        InputError: Anything about model, backend or settings that the caller can fix.
    """
    from kdbench.config import SpeedSettings, build
    from kdbench.serving.speed import measure_speed

    return measure_speed(build(SpeedSettings, settings))


def judge(**settings: Any) -> "JudgedRun":
    """Have a model judge a stored run; takes the keys of `kdbench judge --help`.

    Raises:
        InputError: Anything about run, judge, data or settings that the caller can fix.
    """
    from kdbench.config import build
    from kdbench.judging.settings import JudgeSettings
    from kdbench.judging.work import judge as run

    return run(_for_real(build(JudgeSettings, settings)))


def train(**settings: Any) -> "Trained":
    """Train a student; takes the keys of `kdbench train --help` and of the method.

    Raises:
        InputError: Anything about models, data or settings that the caller can fix.
    """
    from kdbench.distillation.recipe import make_recipe
    from kdbench.distillation.train import train as run

    recipe = make_recipe(settings)
    recipe.settings.refuse_ignored(settings)
    _for_real(recipe.settings)
    return run(recipe)


def fill(**settings: Any) -> "Filled":
    """Fill a table; takes the keys of `kdbench fill --help`, and `changes` by dotted key.

    Raises:
        InputError: Anything about the table file, models or data that the caller can fix.
    """
    from kdbench.config import FillSettings, build
    from kdbench.filling.table import fill as run

    return run(build(FillSettings, settings))


def table(**settings: Any) -> "Table":
    """Build the comparison table; takes the keys of `kdbench table --help` that choose its content.

    Raises:
        InputError: Unreadable results or baselines, unknown settings, or a key about output.
    """
    from kdbench.config import TableSettings, build, given_keys
    from kdbench.tables import build_table

    built = _for_real(build(TableSettings, settings))
    for key in given_keys(built):
        if key in ("out", "format", "block", "check"):
            raise InputError(
                f"{key}= is for the command line: the function returns the table, whose "
                "render('md') is its text"
            )
    return build_table(built)


def compare(**settings: Any) -> "Comparison":
    """Compare two stored runs on the same prompts; takes the keys of `kdbench compare --help`.

    Raises:
        InputError: A run does not exist, a metric cannot be gated, or a setting is unknown.
    """
    from kdbench.comparing.compare import compare as run
    from kdbench.comparing.settings import CompareSettings
    from kdbench.config import build

    return run(_for_real(build(CompareSettings, settings)))


def regress(**settings: Any) -> "GateResult":
    """Compare a checkpoint with a baseline; takes the keys of `kdbench regress --help`.

    Raises:
        InputError: Anything about model, baseline, data or settings that the caller can fix.
    """
    from kdbench.comparing.regress import regress as run
    from kdbench.comparing.settings import RegressSettings
    from kdbench.config import build

    return run(_for_real(build(RegressSettings, settings)))


def plan(**settings: Any) -> "GatePlan | TrainingPlan":
    """Estimate what a comparison needs; takes the keys of `kdbench plan --help`.

    Raises:
        InputError: The run does not exist or has no samples, or a setting is unknown.
    """
    from kdbench.comparing.plan import plan as run
    from kdbench.comparing.settings import PlanSettings
    from kdbench.config import build

    return run(build(PlanSettings, settings))


def report(**settings: Any) -> "Report":
    """Write the report's site; takes the keys of `kdbench report --help`.

    Raises:
        InputError: No results or unreadable ones, or an unknown setting.
    """
    from kdbench.config import ReportSettings, build
    from kdbench.site import make_report

    return make_report(_for_real(build(ReportSettings, settings)))

"""What the public functions do: keys become settings, and the verb runs.

Each function has the name of a public one, and takes the keys that were given. Its signature and
description are in `functions.py`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.builders.workshop.build import Built
    from kdbench.comparing.model import Comparison
    from kdbench.comparing.plan import AnyPlan
    from kdbench.comparing.regress import GateResult
    from kdbench.config import Settings
    from kdbench.distillation.keeping import KeptScores
    from kdbench.distillation.train import Trained
    from kdbench.fidelity.plain.compare import TextComparison
    from kdbench.filling.filled import Filled
    from kdbench.filling.mechanism_table import MechanismTable
    from kdbench.frontiers.table import Frontier
    from kdbench.judging.work import JudgedRun
    from kdbench.measuring.measurement import Evaluation
    from kdbench.serving.speed import SpeedMeasurement
    from kdbench.site import Report
    from kdbench.tables import Table

Keys = Mapping[str, Any]
_UNNAMED = "prompts"  # the task of rows that were given without a name
S = TypeVar("S", bound="Settings")


def _built(kind: type[S], keys: Keys) -> S:
    """The settings of the keys, which ask for no dry run: its result is text for a terminal."""
    from kdbench.config import build

    return _for_real(build(kind, _with_named_rows(keys)))


def _with_named_rows(keys: Keys) -> Keys:
    """The keys, in which rows of prompts have become names of tasks."""
    tasks = keys.get("tasks")
    is_rows = isinstance(tasks, list) and tasks and all(isinstance(row, Mapping) for row in tasks)
    if is_rows or hasattr(tasks, "columns"):
        tasks = {_UNNAMED: tasks}
    if not isinstance(tasks, Mapping):
        return keys
    from kdbench.task.given_rows import give_rows

    for name, rows in tasks.items():
        give_rows(str(name), rows)
    return {**keys, "tasks": list(map(str, tasks))}


def _for_real(settings: S) -> S:
    if getattr(settings, "dry_run", False):
        raise InputError("dry_run= is for the command line; the function measures and writes")
    return settings


def evaluate(keys: Keys) -> "Evaluation":
    """Measure a checkpoint."""
    from kdbench.config import EvalSettings
    from kdbench.evaluation import evaluate as run

    settings = _built(EvalSettings, keys)
    if settings.shards is not None:
        from kdbench.filling.shards import evaluate_in_shards

        return evaluate_in_shards(settings)
    return run(settings)


def score(keys: Keys) -> "Evaluation":
    """Score texts that were made elsewhere."""
    from kdbench.config import ScoreSettings
    from kdbench.measuring.given_texts import score as run

    return run(_built(ScoreSettings, keys))


def kld(keys: Keys) -> "TextComparison":
    """Compare a model with another one over plain text."""
    from kdbench.config.kld import KldSettings
    from kdbench.fidelity.plain.compare import compare_on_text

    return compare_on_text(_built(KldSettings, keys))


def speed(keys: Keys) -> "SpeedMeasurement":
    """Time a model under a stated load."""
    from kdbench.config import SpeedSettings
    from kdbench.serving.speed import measure_speed

    return measure_speed(_built(SpeedSettings, keys))


def cache(keys: Keys) -> "KeptScores":
    """Keep a teacher's scores."""
    from kdbench.config import CacheSettings
    from kdbench.distillation.keeping import keep_scores

    return keep_scores(_built(CacheSettings, keys))


def judge(keys: Keys) -> "JudgedRun":
    """Have a model judge a stored run."""
    from kdbench.judging.settings import JudgeSettings
    from kdbench.judging.work import judge as run

    return run(_built(JudgeSettings, keys))


def train(keys: Keys) -> "Trained":
    """Train a student."""
    from kdbench.distillation.recipe import make_recipe
    from kdbench.distillation.train import train as run

    recipe = make_recipe(keys)
    recipe.settings.refuse_ignored(keys)
    _for_real(recipe.settings)
    return run(recipe)


def build(keys: Keys) -> "Built":
    """Build a data set."""
    from kdbench.builders.workshop.build import build as run
    from kdbench.builders.workshop.recipe import make_build

    recipe = make_build(keys)
    _for_real(recipe.settings)
    return run(recipe)


def fill(keys: Keys) -> "Filled":
    """Fill a table."""
    from kdbench.config import FillSettings, build
    from kdbench.filling.table import fill as run

    return run(build(FillSettings, keys))


def mechanisms(keys: Keys) -> "MechanismTable":
    """Read which methods of a table moved what their ideas should move."""
    from kdbench.config import MechanismSettings
    from kdbench.filling.stored_mechanisms import mechanisms as run

    return run(_built(MechanismSettings, keys))


def frontier(keys: Keys) -> "Frontier":
    """Compare students by their curves of quality against entropy."""
    from kdbench.config import FrontierSettings
    from kdbench.frontiers.run import frontier as run

    return run(_built(FrontierSettings, keys))


def table(keys: Keys) -> "Table":
    """Build the comparison table."""
    from kdbench.config import TableSettings, given_keys
    from kdbench.tables import build_table

    built = _built(TableSettings, keys)
    for key in given_keys(built):
        if key in ("out", "format", "block", "check"):
            raise InputError(
                f"{key}= is for the command line: the function returns the table, whose "
                "render('md') is its text"
            )
    if built.spread:
        raise InputError(
            "spread= is for the command line: in Python, kdbench.fill returns it as .published"
        )
    return build_table(built)


def compare(keys: Keys) -> "Comparison":
    """Compare two stored runs on the same prompts."""
    from kdbench.comparing.compare import compare as run
    from kdbench.comparing.settings import CompareSettings

    return run(_built(CompareSettings, keys))


def regress(keys: Keys) -> "GateResult":
    """Compare a checkpoint with a baseline."""
    from kdbench.comparing.regress import regress as run
    from kdbench.comparing.settings import RegressSettings

    return run(_built(RegressSettings, keys))


def plan(keys: Keys) -> "AnyPlan":
    """Estimate the prompts and seeds that a gate needs."""
    from kdbench.comparing.plan import plan as run
    from kdbench.comparing.settings import PlanSettings

    return run(_built(PlanSettings, keys))


def report(keys: Keys) -> "Report":
    """Plot and write the report."""
    from kdbench.config import ReportSettings
    from kdbench.site import make_report

    return make_report(_built(ReportSettings, keys))

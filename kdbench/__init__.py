"""kdbench: a comparison table of distilled language-model students that can be believed.

    import kdbench

    evaluation = kdbench.evaluate(model="path/to/student", data="path/to/data", limit=20)
    table = kdbench.table(results="results")
    print(table)

Every function takes the same keys as the command of its name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.comparing.model import Comparison
    from kdbench.comparing.plan import GatePlan
    from kdbench.comparing.regress import GateResult
    from kdbench.distillation.train import Trained
    from kdbench.filling.table import Filled
    from kdbench.measuring.measurement import Evaluation
    from kdbench.reports import Report
    from kdbench.tables import Table


__all__ = [
    "InputError",
    "compare",
    "evaluate",
    "fill",
    "plan",
    "regress",
    "report",
    "score",
    "table",
    "train",
]

from kdbench.errors import InputError
from kdbench.version import __version__ as __version__


def evaluate(**settings: Any) -> "Evaluation":
    """Measure a checkpoint; the keys of `kdbench eval --help`.

    Raises:
        InputError: anything about model, data, tasks or settings that the caller can mend.
    """
    from kdbench.config import EvalSettings, build
    from kdbench.evaluation import evaluate as run

    return run(build(EvalSettings, settings))


def score(**settings: Any) -> "Evaluation":
    """Measure texts that were made elsewhere; the keys of `kdbench score --help`.

    Raises:
        InputError: anything about samples, data or settings that the caller can mend.
    """
    from kdbench.config import ScoreSettings, build
    from kdbench.measuring.given_texts import score as run

    return run(build(ScoreSettings, settings))


def train(**settings: Any) -> "Trained":
    """Train a student; the keys of `kdbench train --help` and of the method.

    Raises:
        InputError: anything about models, data or settings that the caller can mend.
    """
    from kdbench.distillation.recipe import make_recipe
    from kdbench.distillation.train import train as run

    return run(make_recipe(settings))


def fill(**settings: Any) -> "Filled":
    """Fill a table; the keys of `kdbench fill --help`, and `changes` by dotted key.

    Raises:
        InputError: anything about the table's file, models or data that the caller can mend.
    """
    from kdbench.config import FillSettings, build
    from kdbench.filling.table import fill as run

    return run(build(FillSettings, settings))


def table(**settings: Any) -> "Table":
    """The comparison table; the keys of `kdbench table --help`.

    Raises:
        InputError: unreadable results or baselines, or unknown settings.
    """
    from kdbench.config import TableSettings, build
    from kdbench.tables import build_table

    return build_table(build(TableSettings, settings))


def compare(**settings: Any) -> "Comparison":
    """Compare two stored runs on the same prompts; the keys of `kdbench compare --help`.

    Raises:
        InputError: a side that is not there, a metric that cannot be gated, or unknown settings.
    """
    from kdbench.comparing.compare import compare as run
    from kdbench.comparing.settings import CompareSettings
    from kdbench.config import build

    return run(build(CompareSettings, settings))


def regress(**settings: Any) -> "GateResult":
    """Measure a checkpoint and compare it with a baseline; the keys of `kdbench regress --help`.

    Raises:
        InputError: anything about model, baseline, data or settings that the caller can mend.
    """
    from kdbench.comparing.regress import regress as run
    from kdbench.comparing.settings import RegressSettings
    from kdbench.config import build

    return run(build(RegressSettings, settings))


def plan(**settings: Any) -> "GatePlan":
    """How many prompts and seeds a gate needs; the keys of `kdbench plan --help`.

    Raises:
        InputError: no such run, no samples of it, or unknown settings.
    """
    from kdbench.comparing.plan import plan as run
    from kdbench.comparing.settings import PlanSettings
    from kdbench.config import build

    return run(build(PlanSettings, settings))


def report(**settings: Any) -> "Report":
    """Draw and write the report; the keys of `kdbench report --help`.

    Raises:
        InputError: unreadable results, nothing measured beside a teacher, or unknown settings.
    """
    from kdbench.config import ReportSettings, build
    from kdbench.reports import make_report

    return make_report(build(ReportSettings, settings))

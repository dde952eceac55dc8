"""`kdbench demo`: toy data, a teacher, a student, both measured, and their table."""

import sys
import time

from kdbench.config import DemoSettings, EvalSettings, TableSettings
from kdbench.evaluation import evaluate
from kdbench.files import put_text
from kdbench.tables import build_table
from kdbench.tables.write import whole_file
from kdbench.toy.models import make_world

SETTING = "toy world"
_STEPS_BETWEEN_LINES = 100


def demo(settings: DemoSettings) -> str:
    """Run the whole pipeline on the toy world.

    Returns:
        The table, as the terminal shows it.

    Raises:
        InputError: a folder that cannot be used.
    """
    start = time.monotonic()
    _say(f"toy data, teacher and student in {settings.out}")
    world = make_world(settings.out, report=_report_training)
    for method, model in (("Teacher", world.teacher), ("SFT", world.student)):
        _say(f"measuring {method}")
        evaluation = evaluate(
            EvalSettings(
                model=str(model),
                data=world.data,
                limit=settings.limit,
                results=settings.results,
                method=method,
                setting=SETTING,
                device="cpu",
            )
        )
        _say(f"  {evaluation.generated} samples generated, results in {evaluation.run}")
    table = build_table(TableSettings(results=settings.results, published="none"))
    file = settings.results / "TABLE.md"
    put_text(file, whole_file(file, "md", table.render("md")))
    _say(f"table in {file}; {time.monotonic() - start:.0f} s in all")
    return "\n" + str(table)


def _report_training(name: str, step: int, loss: float) -> None:
    if step % _STEPS_BETWEEN_LINES == 0:
        _say(f"  {name}: step {step}, loss {loss:.3f}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

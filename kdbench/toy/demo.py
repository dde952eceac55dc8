"""`kdbench demo`: the toy world, and the table of methods on it, filled from nothing."""

import os
import time

from kdbench.config import DemoSettings, FillSettings
from kdbench.filling.table import Filled, fill
from kdbench.system.console import report_progress
from kdbench.toy.models import make_world

_TABLE = "toy"
_MOST_WORKERS = 8  # each is a process with torch in it
_STEPS_BETWEEN_LINES = 100


def demo(settings: DemoSettings) -> Filled:
    """Run the whole pipeline on the toy world; what is there is not done again.

    Raises:
        InputError: a folder that cannot be used.
    """
    start = time.monotonic()
    report_progress(f"toy data, teacher and student in {settings.out}")
    world = make_world(settings.out, report=_report_training)
    changes = {
        "teacher.checkpoint": str(world.teacher),
        "student.checkpoint": str(world.student),
        **({} if settings.limit is None else {"evaluate.limit": str(settings.limit)}),
        **({} if settings.steps is None else {"train.steps": str(settings.steps)}),
    }
    report_progress("the table: seven methods learn from the teacher, and all are measured")
    filled = fill(
        FillSettings(
            table=_TABLE,
            data=world.data,
            models=settings.out / "models",
            results=settings.results,
            workers=min(os.cpu_count() or 1, _MOST_WORKERS),
            device="cpu",
            changes=changes,
        )
    )
    report_progress(f"{time.monotonic() - start:.0f} s in all")
    return filled


def _report_training(name: str, step: int, loss: float) -> None:
    if step % _STEPS_BETWEEN_LINES == 0:
        report_progress(f"  {name}: step {step}, loss {loss:.3f}")

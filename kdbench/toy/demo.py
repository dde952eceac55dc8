"""`kdbench demo`: make the toy world, then fill the table of methods on it."""

import json
import time
from dataclasses import replace
from functools import partial

from kdbench.config import DemoSettings, FillSettings
from kdbench.filling.filled import Filled
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.filling.table import fill
from kdbench.system.console import report_progress
from kdbench.system.threads import cores
from kdbench.toy.chat import make_chat_model
from kdbench.toy.models import World, make_world, report_steps, world_of

_TABLE = "toy"
_MOST_WORKERS = 8  # each is a process with torch in it


def demo(settings: DemoSettings) -> Filled:
    """Run the whole pipeline on the toy world, without repeating what is done.

    Args:
        settings: Settings of `kdbench demo`.

    Raises:
        InputError: a folder cannot be used.
    """
    if settings.dry_run:
        return _plan(settings)
    start = time.monotonic()
    report_progress(f"making toy data, a teacher and a student in {settings.out}")
    world = make_world(settings.out, report=report_steps)
    if settings.chat:
        report_progress("training a chat model with a thinking mode")
        make_chat_model(settings.out / "chat", world.data, report=partial(report_steps, "chat"))
    report_progress("filling the table: training seven methods, then measuring every model")
    filled = fill(_fill_settings(settings, world))
    report_progress(f"finished in {time.monotonic() - start:.0f} s")
    return filled


def _fill_settings(settings: DemoSettings, world: World, plan: bool = False) -> FillSettings:
    """How the table is filled on a toy world."""
    changes = {
        "world.folder": json.dumps(str(world.data.parent)),  # changes are read as YAML
        "teacher.checkpoint": json.dumps(str(world.teacher)),
        "student.checkpoint": json.dumps(str(world.student)),
        **({} if settings.limit is None else {"evaluate.limit": str(settings.limit)}),
        **({} if settings.steps is None else {"train.steps": str(settings.steps)}),
    }
    return FillSettings(
        table=_TABLE,
        data=world.data,
        models=settings.out / "models",
        results=settings.results,
        workers=min(cores(), _MOST_WORKERS),
        device="cpu",
        changes=changes,
        plan=plan,
    )


def _plan(settings: DemoSettings) -> Filled:
    """The lines of a dry run: what exists of the toy world, and what is missing of the table."""
    world = world_of(settings.out)
    parts = [(name, getattr(world, name)) for name in ("data", "teacher", "student")]
    missing = [name for name, folder in parts if not folder.exists()]
    lines = [f"toy {name}: {'to be made' if name in missing else 'done'}" for name, _ in parts]
    if not missing:
        planned = fill(_fill_settings(settings, world, True))
        return replace(planned, notes="\n".join([*lines, planned.text]), planned=())
    spec = read_spec(find_spec(_TABLE))
    rows = ", ".join(str((row.train or {}).get("recipe")) for row in spec.rows)
    lines.append(f"then a training and an evaluation of each recipe: {rows}")
    return Filled("".join(f"{line}\n" for line in lines), {})

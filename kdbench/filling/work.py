"""What a worker does for one node: in a process of its own, with a log of its own.

A node is done by one process at a time: its lock is held while it is worked on, and whoever gets
the lock later finds it done.
"""

import contextlib
import hashlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from kdbench.config import EvalSettings
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError
from kdbench.filling.graph import Node
from kdbench.filling.times import amount_of, is_half_trained, note
from kdbench.system.files import SCHEMA, read_json, write_json


@dataclass(frozen=True)
class Done:
    """How a node ended.

    Attributes:
        node: its key.
        error: what went wrong, one line; None if nothing did.
        seconds: that it took.
        fresh: whether this call did it; another process may have.
    """

    node: str
    error: str | None
    seconds: float
    fresh: bool


def is_done(node: Node) -> bool:
    """Whether a node's outcome is there, whole."""
    if node.work is None:
        return True
    if node.kind != "evaluate":
        return node.place.exists()
    if not node.place.exists():
        return False
    mark = read_mark(node)
    run = node.place.parent.parent / mark["run"]
    return all(_sha256(run / f"{task}.json") == known for task, known in mark["tasks"].items())


def read_mark(node: Node) -> dict[str, Any]:
    """What an evaluation left: the run's folder below the results, and each task's SHA-256.

    The hash, for a run's files change when the run is measured beside another teacher.
    """
    return read_json(node.place)


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def log_of(node: Node, models: Path) -> Path:
    """The node's log."""
    return models / "logs" / f"{node.kind}-{node.place.name.removesuffix('.json')}.log"


def do(node: Node, models: Path) -> Done:
    """Do a node, unless it is done; what it says goes into its log."""
    start = time.monotonic()
    log = log_of(node, models)
    log.parent.mkdir(parents=True, exist_ok=True)
    error, fresh = None, False
    with FileLock(log.with_suffix(".lock")), _into(log):
        if not is_done(node):
            fresh, begun = True, time.monotonic()
            error, whole = _attempt(node)
            if whole:
                note(models, node, time.monotonic() - begun)
    return Done(node.key, error, time.monotonic() - start, fresh)


def _attempt(node: Node) -> tuple[str | None, bool]:
    """What went wrong, and whether the node was done from its beginning to its end."""
    try:
        return None, _run(node)
    except InputError as error:
        return str(error), False
    except Exception as error:  # noqa: BLE001 - a node may fail in any way; the others go on
        traceback.print_exc()
        return f"{type(error).__name__}: {error}".splitlines()[0], False


def _run(node: Node) -> bool:
    if isinstance(node.work, Recipe):
        from kdbench.distillation.train import train

        begun = is_half_trained(node)
        train(node.work)
        return not begun
    if isinstance(node.work, EvalSettings):
        from kdbench.evaluation import evaluate

        evaluation = evaluate(node.work)
        run = evaluation.run.relative_to(node.work.results).as_posix()
        tasks = {task: _sha256(evaluation.run / f"{task}.json") for task in evaluation.results}
        mark = {"run": run, "tasks": tasks}
        write_json(node.place, {"schema": SCHEMA, "fingerprint": node.fingerprint, **mark})
        return evaluation.generated == amount_of(node)
    return False


@contextlib.contextmanager
def _into(log: Path) -> Iterator[None]:
    """Both outputs of this process, of libraries and their C code too, at the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with log.open("a", encoding="utf-8", buffering=1) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)

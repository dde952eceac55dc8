"""What a worker does for one node: in a process of its own, with a log of its own.

A node is done by one process at a time: its lock is held while it is worked on, and whoever gets
the lock later finds it done.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.files import SCHEMA, read_json, write_json
from kdbench.filling.graph import Node
from kdbench.filling.times import note
from kdbench.recipe import Recipe

_SECONDS_BETWEEN_LOOKS = 1.0


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
    mark = read_json(node.place)
    run = node.place.parent.parent / mark["run"]
    return all((run / f"{task}.json").exists() for task in mark["tasks"])


def log_of(node: Node, models: Path) -> Path:
    """The node's log."""
    return models / "logs" / f"{node.kind}-{node.place.stem}.log"


def do(node: Node, models: Path) -> Done:
    """Do a node, unless it is done; what it says goes into its log."""
    start = time.monotonic()
    log = log_of(node, models)
    log.parent.mkdir(parents=True, exist_ok=True)
    error, fresh = None, False
    with FileLock(log.with_suffix(".lock")), _into(log):
        if not is_done(node):
            fresh, from_its_beginning = True, log.stat().st_size == 0
            begun = time.monotonic()
            error = _attempt(node)
            if error is None and from_its_beginning:
                note(models, node, time.monotonic() - begun)
    return Done(node.key, error, time.monotonic() - start, fresh)


def _attempt(node: Node) -> str | None:
    try:
        _run(node)
    except InputError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a node may fail in any way; the others go on
        traceback.print_exc()
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def _run(node: Node) -> None:
    if isinstance(node.work, Recipe):
        from kdbench.distillation import train

        train(node.work)
    elif isinstance(node.work, EvalSettings):
        from kdbench.evaluation import evaluate

        evaluation = evaluate(node.work)
        missing = [task for task in node.work.tasks if task not in evaluation.results]
        assert not missing  # noqa: S101 - without shard= no task is left out
        run = evaluation.run.relative_to(node.work.results).as_posix()
        mark = {"run": run, "tasks": sorted(evaluation.results)}
        write_json(node.place, {"schema": SCHEMA, "fingerprint": node.fingerprint, **mark})


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


def die_with(parent: int) -> None:
    """End this process when its parent is gone: a killed table leaves no worker behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

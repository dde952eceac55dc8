"""The logs of nodes: where they are, their last line, and how a process writes into one."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kdbench.filling.nodes import Node

_TAIL_BYTES = 4096


def log_of(node: Node, models: Path) -> Path:
    """The file of a node's log.

    Args:
        node: The node.
        models: Folder of checkpoints and logs.
    """
    return models / "logs" / f"{node.kind}-{node.place.name.removesuffix('.json')}.log"


def last_line(log: Path) -> str:
    """The last line of a log that is not blank, such as a training's rate and time left."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "")


@contextlib.contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append what this process prints to a file, the output of C libraries included."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("a", encoding="utf-8", buffering=1) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)

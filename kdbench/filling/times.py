"""How long nodes took here, and so how long the others will take.

Nothing is assumed about a machine: a node is estimated from nodes like it that were done here for
this table, or from its own log where it is half trained.
"""

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean

from kdbench.config import EvalSettings
from kdbench.distillation.recipe import Recipe
from kdbench.filling.graph import Node
from kdbench.protocol import get_protocol

_LEFT = re.compile(r"(\d+) s left\s*$")


@dataclass(frozen=True)
class Took:
    """What a node took.

    Attributes:
        kind: of the node.
        what: the method that trained, or `evaluate`.
        amount: rows that were learnt from, or responses that were measured.
        seconds: on the wall.
    """

    kind: str
    what: str
    amount: int
    seconds: float


def note(models: Path, node: Node, seconds: float) -> None:
    """Write down what a node took that was done from its beginning."""
    amount = amount_of(node)
    if not amount:
        return
    line = json.dumps(vars(Took(node.kind, _what(node), amount, round(seconds, 3))))
    with _file(models).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}")  # a line that a crash cut stays alone


def noted(models: Path) -> list[Took]:
    """All that was written down for a table, whole lines only."""
    if not _file(models).exists():
        return []
    lines = _file(models).read_text(encoding="utf-8").splitlines()
    return [Took(**json.loads(line)) for line in lines if line.endswith("}")]


def seconds_of(node: Node, took: Sequence[Took], log: str = "") -> float | None:
    """How long a node will take; None if nothing like it was done here.

    Args:
        node: that is missing.
        took: what others took.
        log: the last line of its own log.
    """
    left = _LEFT.search(log)
    if left and is_half_trained(node):
        return float(left[1])
    alike = [one for one in took if one.kind == node.kind]
    alike = [one for one in alike if one.what == _what(node)] or alike
    amount = amount_of(node)
    if not alike or amount is None:
        return None
    return amount * mean(one.seconds / one.amount for one in alike)


def is_half_trained(node: Node) -> bool:
    """Whether a training has left a state to go on from."""
    return node.kind == "train" and node.place.with_name(f"{node.place.name}.unfinished").exists()


def amount_of(node: Node) -> int | None:
    """Rows to learn from, or responses to measure; None where the data are not here."""
    work = node.work
    if isinstance(work, Recipe):
        return _rows(work)
    return _responses(work) if isinstance(work, EvalSettings) else None


def _rows(recipe: Recipe) -> int | None:
    settings = recipe.settings
    if settings.steps is not None:
        return settings.steps * settings.batch_size
    if settings.data is None:
        return None
    rows = _lines(settings.data / settings.train_set, "train.jsonl")
    if rows is None:
        return None
    return max(1, int((settings.epochs or 1) * min(rows, settings.limit or rows)))


def _responses(settings: EvalSettings) -> int | None:
    if settings.data is None:
        return None
    seeds = get_protocol(settings.protocol, settings.protocol_overrides()).seeds
    each = [_lines(settings.data / task, "test.jsonl") for task in settings.tasks]
    if None in each:
        return None
    return len(seeds) * sum(min(n, settings.limit or n) for n in each if n is not None)


@lru_cache
def _lines(folder: Path, name: str) -> int | None:
    for file, opened in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if file.exists():
            with opened(file, "rb") as lines:
                return sum(1 for line in lines if line.strip())
    return None


def _what(node: Node) -> str:
    return node.work.settings.method if isinstance(node.work, Recipe) else node.kind


def _file(models: Path) -> Path:
    return models / "times.jsonl"


def in_words(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

"""How checkpoints were trained: their run cards and training logs, found by what they cost."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from kdbench.distillation.card import CARD, LOG
from kdbench.errors import InputError
from kdbench.measuring.identity import training_cost
from kdbench.store.runs import StoredRun
from kdbench.system.files import LinesFile

_NOT_SERIES = ("step", "epoch")
Series = Mapping[str, Sequence[tuple[float, float]]]
"""Steps and values by name, in order."""


@dataclass(frozen=True)
class Training:
    """The training of a checkpoint.

    Attributes:
        folder: Folder of the checkpoint.
        card: Its run card.
        series: Its log.
        problem: Why there is no log, in one line; empty if there is one.
    """

    folder: Path
    card: Mapping[str, Any] = field(repr=False)
    series: Series = field(repr=False)
    problem: str = ""


def find_training(checkpoints: Path, runs: Iterable[StoredRun]) -> dict[str, Training]:
    """Find the training of runs, by the folder of each run.

    A run stores what its checkpoint's training cost, to the microsecond, as the run card says. The
    card with this very cost is that of the checkpoint.

    Args:
        checkpoints: Folder below which checkpoints are searched.
        runs: Runs whose training is wanted.
    """
    wanted = {_key(run.record.get("training")): run.folder for run in runs}
    found: dict[str, Training] = {}
    for file in sorted(checkpoints.rglob(CARD)) if checkpoints.is_dir() else ():
        card = _read_card(file)
        key = _key(training_cost(card)) if card else None
        if key is not None and key in wanted and wanted[key] not in found:
            series, problem = _read_log(file.parent / LOG)
            found[wanted[key]] = Training(file.parent, card, series, problem)
    return found


def _key(cost: Mapping[str, Any] | None) -> str | None:
    """A cost as text, rounded as stored results are; None without one."""
    if not cost or "card" in cost or cost.get("seconds") is None:
        return None
    lacking = {"seed", "recipe", "log"}  # in the records of earlier versions
    numbers = {k: v for k, v in cost.items() if k not in lacking}
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in numbers.items()}
    return json.dumps(rounded, sort_keys=True)


def _read_card(file: Path) -> dict[str, Any]:
    """A run card; empty for a file that is none, which a search may come across."""
    try:
        card = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}


def _read_log(file: Path) -> tuple[Series, str]:
    if not file.is_file():
        return {}, f"there is no {LOG} in the checkpoint's folder"
    try:
        lines = LinesFile(file).read()
    except (OSError, InputError) as error:
        return {}, f"the training log cannot be read: {error}"
    series: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        step = line.get("step")
        if not _is_number(step):
            continue
        for name, value in line.items():
            if name not in _NOT_SERIES and _is_number(value):
                series.setdefault(name, []).append((step, value))
    return series, "" if series else "the training log holds no numbers"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)

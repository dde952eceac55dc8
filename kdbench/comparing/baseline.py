"""A gate's baseline: `baselines/gates/NAME.json`, small and committed; it needs no samples.

It holds what a stored run holds of the gated metrics: the fingerprint and each prompt's mean over
seeds, with six decimals as there. So a run compared with its own baseline has differences of
exactly 0. Seeds are not kept: only the hierarchical bootstrap would use them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdbench.comparing.sides import Scores, Side, TaskScores, as_scores, titled
from kdbench.comparing.tolerance import Tolerance, read_tolerances, said_tolerances
from kdbench.errors import InputError
from kdbench.system.environment import git_user
from kdbench.system.files import SCHEMA, read_json, write_json
from kdbench.version import __version__

_KIND = "gate"


@dataclass(frozen=True)
class Origin:
    """Who wrote a baseline, when, and why.

    Attributes:
        who: name of git's user, else of the system's.
        when: UTC, ISO 8601.
        why: as they said.
    """

    who: str
    when: str
    why: str


def origin(why: str) -> Origin:
    """Of a baseline that is written now."""
    who = git_user() or os.environ.get("USER") or "unknown"
    return Origin(who, datetime.now(UTC).isoformat(timespec="seconds"), why)


def baseline_file(word: str, gates: Path) -> Path:
    """Where the baseline of a name is; a word that ends in .json is a path itself."""
    if word.endswith(".json"):
        return Path(word)
    return gates / f"{word}.json"


def write_baseline(
    path: Path, side: Side, tolerances: Mapping[str, Tolerance], written: Origin
) -> None:
    """Put a baseline in place.

    Args:
        path: the file.
        side: a whole stored run.
        tolerances: of the gate; only their metrics are kept.
        written: who, when and why.

    Raises:
        InputError: the run is not whole, or lacks scores by prompt of a metric.
    """
    if side.status != "complete":
        raise InputError(f"{side.label}: run {side.status}; only a complete one is a baseline")
    if not re.fullmatch(r"[\w.+=@-]+\.json", path.name):
        raise InputError(
            f"baseline={path.stem}: must be the name of a file: letters, digits, . - _"
        )
    for task, one in side.tasks.items():
        for metric in tolerances:
            if metric not in one.metrics:
                raise InputError(
                    f"{side.label}: {metric} of '{task}' has no score for each prompt, so it "
                    "cannot be gated"
                )
    write_json(
        path,
        {
            "schema": SCHEMA,
            "kind": _KIND,
            "kdbench_version": __version__,
            "model": {"name": side.label, "sha256": side.sha256},
            "written": vars(written),
            "limit": side.limit,
            "tolerance": said_tolerances(tolerances),
            "fingerprints": {task: one.fingerprint for task, one in side.tasks.items()},
            "metrics": {
                f"{task}:{metric}": _described(one.metrics[metric])
                for task, one in side.tasks.items()
                for metric in tolerances
            },
            "scores": {
                task: {
                    "id": list(one.ids),
                    **{metric: one.metrics[metric].means.tolist() for metric in tolerances},
                }
                for task, one in side.tasks.items()
            },
        },
    )


def _described(scores: Scores) -> dict[str, Any]:
    names = ("unit", "direction", "version", "teacher", "bound")
    return {name: getattr(scores, name) for name in names}


def baseline_side(path: Path) -> Side:
    """A baseline as a side.

    Raises:
        InputError: no baseline, or a broken one.
    """
    content = read_json(path)
    if content.get("kind") != _KIND:
        raise InputError(f"{path}: not the baseline of a gate; kdbench regress --update writes one")
    try:
        model, tolerance = content["model"], str(content["tolerance"])
        read_tolerances(tolerance)
        return Side(
            label=path.stem,
            title=f"{path.stem} ({titled(model['name'], model['sha256'])})",
            sha256=model["sha256"],
            status="complete",
            limit=content["limit"],
            tasks={
                task: _task(task, fingerprint, content)
                for task, fingerprint in content["fingerprints"].items()
            },
            tolerance=tolerance,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: a broken baseline: {error}") from None


def _task(task: str, fingerprint: Mapping[str, Any], content: Mapping[str, Any]) -> TaskScores:
    columns = content["scores"][task]
    ids = tuple(map(str, columns["id"]))
    metrics = {
        name: Scores(as_scores(values), **content["metrics"][f"{task}:{name}"])
        for name, values in columns.items()
        if name != "id"
    }
    if any(len(one.means) != len(ids) for one in metrics.values()):
        raise ValueError(f"'{task}' has not one score for each prompt")
    return TaskScores(fingerprint, ids, metrics)

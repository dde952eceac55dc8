"""A gate's baseline, `baselines/gates/NAME.json`: a small file to commit; it needs no samples.

It stores what a stored run has of the gated metrics: the fingerprint of each task, and each
prompt's mean over seeds with the same six decimals. A run compared with its own baseline therefore
differs by exactly 0. Of the prompts that have most to lose it also keeps the texts, with the scores
of each seed; the hierarchical bootstrap, which needs those of all prompts, needs the samples.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.comparing.baseline_file import KIND, BaselineFile, read_baseline_file
from kdbench.comparing.kept_texts import texts_record, texts_to_keep
from kdbench.comparing.matching import applies
from kdbench.comparing.scores import ComparedRun, PromptScores, TaskScores, run_title, score_array
from kdbench.comparing.tolerance import Tolerance, format_tolerances, gain_sign
from kdbench.errors import InputError
from kdbench.system.environment import git_user
from kdbench.system.files import SCHEMA
from kdbench.system.outputs import STANDARD_OUTPUT, is_stream, put_json_output
from kdbench.version import __version__


@dataclass(frozen=True)
class BaselineOrigin:
    """Who wrote a baseline, when, and why.

    Attributes:
        who: Name of the git user, else of the system user.
        when: Time in UTC, as in ISO 8601.
        why: Reason that the user gave.
    """

    who: str
    when: str
    why: str


def origin_now(reason: str) -> BaselineOrigin:
    """The origin of a baseline that is being written.

    Args:
        reason: Reason that the user gave.
    """
    who = git_user() or os.environ.get("USER") or "unknown"
    return BaselineOrigin(who, datetime.now(UTC).isoformat(timespec="seconds"), reason)


def baseline_path(name: str, gates: Path) -> Path:
    """The file of a baseline.

    Args:
        name: Name of the baseline, a path that ends in .json, or `-` or another stream to write to.
        gates: Folder of the baselines.
    """
    if name.endswith(".json") or Path(name) == STANDARD_OUTPUT or _is_path_of_stream(name):
        return Path(name)
    return gates / f"{name}.json"


def _is_path_of_stream(name: str) -> bool:
    return os.sep in name and is_stream(Path(name))


def write_baseline(
    path: Path,
    run: ComparedRun,
    tolerances: Mapping[str, Tolerance],
    origin: BaselineOrigin,
    texts: int = 0,
) -> int:
    """Write a baseline.

    Args:
        path: File to write.
        run: Complete stored run.
        tolerances: Tolerances of the gate; only their metrics are stored.
        origin: Who writes the baseline, when and why.
        texts: Largest number of prompts of each task whose texts are kept.

    Returns:
        The number of prompts whose texts are kept.

    Raises:
        InputError: The run is incomplete, or a metric has no score per prompt or no score at all.
    """
    _check_writable(path, run, tolerances)
    kept = {
        f"{task}:{document}": texts_record(of_prompt, tolerances)
        for task, of_task in texts_to_keep(run, tolerances, texts).items()
        for document, of_prompt in of_task.items()
    }
    texts_kept = {"texts": kept} if kept else {}
    put_json_output(path, {**_content(run, tolerances, origin), **texts_kept})
    return len(kept)


def _content(
    run: ComparedRun, tolerances: Mapping[str, Tolerance], origin: BaselineOrigin
) -> dict[str, Any]:
    """The content of a baseline's file, without texts."""
    gated = {
        task: {metric: scores.metrics[metric] for metric in tolerances if metric in scores.metrics}
        for task, scores in run.tasks.items()
    }
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "kdbench_version": __version__,
        "model": {"name": run.label, "sha256": run.sha256},
        "written": vars(origin),
        "limit": run.limit,
        "tolerance": format_tolerances(tolerances),
        "fingerprints": {task: scores.fingerprint for task, scores in run.tasks.items()},
        "metrics": {
            f"{task}:{metric}": _description(scores)
            for task, metrics in gated.items()
            for metric, scores in metrics.items()
        },
        "scores": {
            task: {
                "id": list(run.tasks[task].ids),
                **{metric: scores.means.tolist() for metric, scores in metrics.items()},
            }
            for task, metrics in gated.items()
        },
    }


def _check_writable(path: Path, run: ComparedRun, tolerances: Mapping[str, Tolerance]) -> None:
    """Check that a run can become a baseline of this name.

    Raises:
        InputError: It cannot.
    """
    if run.status != "complete":
        raise InputError(
            f"{run.label}: the run's status is '{run.status}'; only a complete run can become a "
            "baseline"
        )
    if not (is_stream(path) or re.fullmatch(r"[\w.+=@-]+\.json", path.name)):
        raise InputError(
            f"baseline={path.stem}: must be a file name of letters, digits and . _ + = @ -"
        )
    for task, scores in run.tasks.items():
        if not any(applies(metric, scores, scores) for metric in tolerances):
            raise InputError(
                f"{run.label}: tolerance= names no metric of '{task}', which has "
                f"{', '.join(scores.metrics)}"
            )
        for metric in tolerances:
            if not applies(metric, scores, scores):
                continue
            if metric not in scores.metrics:
                raise InputError(
                    f"{run.label}: {metric} of '{task}' has no score per prompt, so it cannot be "
                    "gated; name other tasks with tasks=, or other metrics with tolerance="
                )
            gain_sign(metric, scores.metrics[metric].direction)
            if np.isnan(scores.metrics[metric].means).all():
                raise InputError(f"{run.label}: no prompt of '{task}' has a score of {metric}")


def _description(scores: PromptScores) -> dict[str, Any]:
    fields = ("unit", "direction", "version", "teacher", "bound")
    return {field: getattr(scores, field) for field in fields}


def read_baseline(path: Path) -> ComparedRun:
    """Read the run that a baseline stores.

    Args:
        path: File of the baseline.

    Raises:
        InputError: The file is not a baseline, or it is malformed.
    """
    file = read_baseline_file(path)
    return ComparedRun(
        label=path.stem,
        title=f"{path.stem} ({run_title(file.model.name, file.model.sha256)})",
        sha256=file.model.sha256,
        status="complete",
        limit=file.limit,
        tasks={task: _task_scores(file, task) for task in file.fingerprints},
        tolerance=file.tolerance,
        texts={task: texts for task in file.fingerprints if (texts := file.texts_of(task))},
    )


def _task_scores(file: BaselineFile, task: str) -> TaskScores:
    metrics = {
        name: PromptScores(score_array(scores), **vars(file.metrics[f"{task}:{name}"]))
        for name, scores in file.scores_of(task).items()
    }
    return TaskScores(file.fingerprint(task), tuple(file.ids(task)), metrics)

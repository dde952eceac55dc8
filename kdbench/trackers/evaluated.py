"""A stored run in trackers: read from its files, so that it can be logged at any time, and once.

`run.json` keeps under `tracked` where the run was logged, and a digest of what. A call that
would log the same again does nothing; one with more metrics continues the tracker's run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import open_run
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.system.console import report_progress
from kdbench.system.secrets import public
from kdbench.trackers.logging import open_trackers, own_trackers
from kdbench.trackers.tracker import SampleTable, TrackedRun, trackers

MOST_SAMPLES = 1000
"""Rows of the table of samples, shared evenly by the tasks; the run's folder holds all."""

_CONFIG = (
    "method",
    "setting",
    "protocol",
    "limit",
    "backend",
    "training",
    "kdbench_version",
    "git",
    "environment",
)
_OF_TASK = ("task_version", "data_sha256", "prompts_sha256", "definition_sha256")
_NUMBERS = ("ci_low", "ci_high", "seed_sd")


def track_run(path: Path, names: Sequence[str], group: str | None = None) -> None:
    """Log a stored run to trackers, unless they have it.

    A run that is not complete, because other shards work on it, is not logged.

    Args:
        path: Folder of the run.
        names: Names of the trackers.
        group: Group of the run in them.

    Raises:
        InputError: A file of the run is damaged.
    """
    folder = open_run(path)
    record = folder.read_whole_run()
    if not names or record["status"] != "complete":
        return
    metrics = metrics_of([*folder.tasks(), *folder.groups()])
    run = _tracked_run(folder, record, group)
    stored = record.get("tracked") or {}
    digests, known = {}, {}
    for name in own_trackers(names):
        destination = public(trackers.get(name).destination(run))
        digests[name] = _digest([destination, group, metrics])
        before = stored.get(name, {})
        if before.get("sha256") != digests[name]:
            known[name] = before.get("id") if before.get("destination") == destination else None
    if not known:
        return
    after = f"the results are in {path}; run the same command again to log them"
    opened = open_trackers(run, known, after)
    opened.summarise(metrics, samples_of(folder))
    places = {}
    for name, tracker in opened.close().items():
        report_progress(f"logged to {name}: {tracker.place}")
        places[name] = {
            "id": tracker.id,
            "destination": public(tracker.destination(run)),
            "sha256": digests[name],
        }
    if places:
        RunRecord(folder).note(tracked={**stored, **places})


def _tracked_run(folder: RunFolder, record: Mapping[str, Any], group: str | None) -> TrackedRun:
    model, run = folder.path.parent.name, folder.path.name
    identity = json.dumps([record["model"], record["protocol"], model, run], sort_keys=True)
    tasks = {
        result.task: {key: result.fingerprint.get(key) for key in _OF_TASK}
        for result in folder.tasks()
    }
    teachers = [result.teacher for result in folder.tasks() if result.teacher]
    config = {
        "model": record["model"],
        **{key: record.get(key) for key in _CONFIG},
        "teacher": {key: teachers[0].get(key) for key in ("name", "sha256")} if teachers else None,
        "tasks": tasks,
    }
    return TrackedRun(
        key=hashlib.sha256(identity.encode()).hexdigest()[:16],
        name=str(record["method"] or record["model"]["name"]),
        kind="eval",
        config=public(config),
        folder=folder.path.resolve(),
        logs=folder.path.parent.parent / "tensorboard" / model / run,
        group=group,
    )


def metrics_of(results: Sequence[TaskResult]) -> dict[str, float]:
    """The numbers of results by name: `dolly/rougeL`, and with it `dolly/rougeL_ci_low`."""
    metrics: dict[str, float] = {}
    for result in results:
        for name, metric in result.metrics.items():
            if metric.value is None:
                continue
            metrics[f"{result.task}/{name}"] = metric.value
            for key in _NUMBERS:
                if (number := getattr(metric, key)) is not None:
                    metrics[f"{result.task}/{name}_{key}"] = number
    return metrics


def samples_of(folder: RunFolder, most: int = MOST_SAMPLES) -> SampleTable | None:
    """The first samples of each task with prompt, references and scores; None if none are stored.

    Args:
        folder: Folder of the run.
        most: Number of rows, shared evenly by the tasks.

    Raises:
        InputError: A line of the run's files is damaged.
    """
    tasks = [result.task for result in folder.tasks()]
    lines = {task: folder.lines(task).read() for task in tasks}
    lines = {task: of_task for task, of_task in lines.items() if of_task}
    if not lines:
        return None
    scores = dict.fromkeys(
        name for of_task in lines.values() for name in of_task[0].get("scores") or ()
    )
    rows = []
    for task, of_task in lines.items():
        prompts = {prompt.id: prompt for prompt in folder.prompts(task)}
        for line in islice(of_task, most // len(lines)):
            prompt = prompts.get(str(line.get("id")))
            scored = line.get("scores") or {}
            if not isinstance(scored, Mapping):
                raise InputError(f"{folder.lines(task).path}: 'scores' must be a mapping")
            rows.append(
                (
                    *(task, line.get("id"), line.get("seed")),
                    *(prompt and prompt.prompt, prompt and "\n".join(prompt.references)),
                    *(line.get("output"), line.get("finish"), line.get("n_tokens")),
                    *(scored.get(name) for name in scores),
                )
            )
    fixed = ("task", "id", "seed", "prompt", "references", "output", "finish", "n_tokens")
    return SampleTable((*fixed, *scores), tuple(rows))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""Runs with given scores by prompt, written without a model."""

from pathlib import Path
from typing import Any

import numpy as np

from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

KINDS = {
    "rougeL": ("points", "higher"),
    "lm_loss": ("nats", "lower"),
    "response_length": ("tokens", "none"),
}


def put_run(
    results: Path,
    model: str,
    scores: dict[str, list[float | None]],
    metric: str = "rougeL",
    more: dict[str, list[float | None]] | None = None,
    teacher: dict[str, Any] | None = None,
    method: str | None = None,
    prompts: str = "same",
    samples: bool = False,
    **record: Any,
) -> Path:
    """Write a run, and return its folder.

    Args:
        results: Folder of the results.
        model: Name of the model; the run's folder is `model/run-1`.
        scores: Scores of `metric` by prompt, by task.
        metric: Name of the metric.
        more: Scores by prompt of further metrics, the same on all tasks.
        teacher: Teacher with which the run was compared.
        method: Label of the method.
        prompts: Hash of the prompts; runs with different ones do not compare.
        samples: Whether a file of samples is there, without content.
        record: Further fields of `run.json`.
    """
    folder = RunFolder(results / model / "run-1")
    fields = {
        "model": {"name": model, "sha256": f"sha of {model}", "parameters": 1000},
        "method": method,
        "setting": None,
        "limit": None,
        "status": "complete",
        "created": "2026-11-02T10:00:00+00:00",
        "protocol": {"name": "minillm", "seeds": [1, 2]},
        "tasks": {},
    }
    folder.write_run({**fields, **record})
    for task, values in scores.items():
        columns = {metric: values, **(more or {})}
        documents = {"id": [f"{task}-{number}" for number in range(len(values))], **columns}
        metrics = {name: _result(name, column) for name, column in columns.items()}
        folder.write_task(
            TaskResult(
                {"task": task, "prompts_sha256": prompts},
                metrics,
                documents,
                {"rows": len(values), "used": len(values)},
                0,
                metric,
                teacher,
            )
        )
        if samples:
            path = folder.lines(task).path
            path.parent.mkdir(exist_ok=True)
            path.write_text("", "utf-8")
    return folder.path


def _result(name: str, scores: list[float | None]) -> MetricResult:
    unit, direction = KINDS.get(name, ("rate", "higher"))
    known = [score for score in scores if score is not None]
    return MetricResult(
        float(np.mean(known)) if known else None,
        min(known, default=None),
        max(known, default=None),
        None,
        {},
        len(known),
        unit=unit,
        direction=direction,
        version="1",
        reason=None if known else "no numbers",
    )

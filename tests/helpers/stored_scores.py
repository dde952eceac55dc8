"""Stored runs made up for tests of tables."""

from typing import Any

import numpy as np

from kdbench.stats.estimates import estimate
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun


def stored_run(
    label: str,
    scores: dict[str, np.ndarray],
    record: dict[str, Any] | None = None,
    fingerprint: dict[str, Any] | None = None,
    **metric: Any,
) -> StoredRun:
    """A run of one sampling seed, from the scores of each task's prompts.

    Args:
        label: Its method and model.
        scores: Scores by task, shape (prompts,).
        record: Fields of `run.json` that differ from those of other runs.
        fingerprint: Likewise for the results' fingerprints.
        metric: Fields of the metric that differ.
    """
    results = {}
    for task, values in scores.items():
        ids = [str(number) for number in range(len(values))]
        column = [float(value) for value in values]
        numbers = vars(estimate({10: column}, "points"))
        known = {**numbers, "unit": "points", "direction": "higher", "version": "1", **metric}
        prints = {"task": task, "task_version": "1.0", **(fingerprint or {})}
        data = {"rows": len(ids), "used": len(ids), "sha256": "d"}
        documents = {"id": ids, "rougeL": column}
        results[task] = TaskResult(
            prints, {"rougeL": MetricResult(**known)}, documents, data, 0, "rougeL"
        )
    content = {
        "model": {"name": label, "sha256": f"hash of {label}"},
        "method": label,
        "setting": "s",
        "limit": None,
        "status": "complete",
        "protocol": {"name": "minillm", "seeds": [10]},
        "created": "2026-11-20T10:00:00+00:00",
        "kdbench_version": "0.1.0",
        "environment": {"gpus": ["H100"]},
        "tasks": {task: {} for task in scores},
        **(record or {}),
    }
    return StoredRun(f"{label}/{content['protocol']['name']}-1", content, results)

"""Stored runs with given scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_runs import KINDS, PROTOCOL, Put

from kdbench.stats.estimates import document_means, estimate
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a run: scores by task and metric, shape (prompts, seeds)."""

    def write(
        name: str,
        scores: Mapping[str, Mapping[str, np.ndarray]],
        change: Mapping[str, Any] | None = None,
        ids: list[str] | None = None,
        texts: str | None = None,
        **run: Any,
    ) -> Path:
        folder = RunFolder(tmp_path / "results" / name / "minillm-1")
        record = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}
        model = {"name": name, "sha256": f"{name:0<64}"}
        folder.write_run({**record, "model": model, "protocol": PROTOCOL, **run})
        for task, metrics in scores.items():
            n = len(next(iter(metrics.values())))
            names = ids or [f"{task}-{number}" for number in range(n)]
            fingerprint = {
                "task": task,
                "task_version": "1",
                "data_sha256": "d",
                "prompts_sha256": "p",
                "protocol": PROTOCOL,
                **(change or {}),
            }
            results, columns = {}, {}
            for metric, values in metrics.items():
                by_seed = {s: values[:, k].tolist() for k, s in enumerate(PROTOCOL["seeds"])}
                unit, direction = KINDS[metric]
                results[metric] = MetricResult(
                    **vars(estimate(by_seed)), unit=unit, direction=direction, version="1"
                )
                columns[metric] = document_means(by_seed)
            main = next(iter(results))
            folder.write_task(
                TaskResult(fingerprint, results, {"id": names, **columns}, {"used": n}, 0, main)
            )
            if texts is not None:
                folder.lines(task).replace(
                    {
                        "id": document,
                        "seed": seed,
                        "output": texts,
                        "n_tokens": 1,
                        "finish": "stop",
                        "scores": {m: float(v[row, k]) for m, v in metrics.items()},
                    }
                    for row, document in enumerate(names)
                    for k, seed in enumerate(PROTOCOL["seeds"])
                )
        return folder.path

    return write

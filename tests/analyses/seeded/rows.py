"""Filled rows made by hand, as an analysis reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kdbench.analyses.core.filled import FilledRows
from kdbench.filling.filled import FilledRow
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun

Tasks = Mapping[str, Mapping[str, "float | Sequence[float]"]]

DIRECTIONS = {"lm_loss": "lower", "exposure_error": "lower"}


def metric(name: str, value: float) -> MetricResult:
    direction = DIRECTIONS.get(name, "higher")
    return MetricResult(
        value, None, None, None, {}, 2, unit="points", direction=direction, version="1"
    )


def task(name: str, metrics: Mapping[str, "float | Sequence[float]"], curves=None) -> TaskResult:
    """A result of means, or of numbers by prompt."""
    columns = {key: list(value) for key, value in metrics.items() if not isinstance(value, float)}
    prompts = len(next(iter(columns.values()), []))
    means = {
        key: value if isinstance(value, float) else sum(value) / len(value)
        for key, value in metrics.items()
    }
    return TaskResult(
        fingerprint={"task": name},
        metrics={key: metric(key, value) for key, value in means.items()},
        documents={"id": [f"{name}-{place}" for place in range(prompts)], **columns},
        data={},
        cut_prompts=None,
        main_metric="rougeL",
        curves=curves or {},
    )


def run(label: str, seed: int | None, results: Mapping[str, TaskResult]) -> StoredRun:
    record = {"model": {"name": label}, "method": label, "training": {"seed": seed}}
    return StoredRun(f"{label} {seed}", record, results)


def row(label: str, seed: int | None, results: Sequence[TaskResult], folder=Path()) -> FilledRow:
    return FilledRow(label, seed, folder, run(label, seed, {one.task: one for one in results}))


def filled(*rows: FilledRow) -> FilledRows:
    tasks = list(dict.fromkeys(name for one in rows for name in one.run.results))
    return FilledRows(rows, tasks)

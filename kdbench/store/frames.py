"""Stored results as data frames.

Each frame has one kind of row, so that a mean over a column is never one over means and their
parts: a row for each seed, for each run (the means over seeds, with intervals) or each document.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError, nearest
from kdbench.store.results import CATEGORY, MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.system.frames import COUNT, DAY, FLAG, NUMBER, TEXT, frame

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = {
    "run": TEXT,
    "model": TEXT,
    "method": TEXT,
    "setting": TEXT,
    "protocol": TEXT,
    "limit": COUNT,
}
_METRIC = {"task": TEXT, "metric": TEXT}
_UNIT = {"n": COUNT, "unit": TEXT, "direction": TEXT, "main": FLAG}
_ERRORS = {"ci_low": NUMBER, "ci_high": NUMBER, "seed_sd": NUMBER}
_BOUNDS = {"micro": NUMBER, "ceiling": NUMBER, "floor": NUMBER}
_OF_METRIC = ("value", "n", "unit", "direction", "bound", "reason", "version")
_REST = {
    "teacher": TEXT,
    "bound": TEXT,
    "reason": TEXT,
    "version": TEXT,
    "parameters": COUNT,
    "backend": TEXT,
    "status": TEXT,
    "day": DAY,
    "machine": TEXT,
}
_COLUMNS = {
    "seed": {**RUN_COLUMNS, **_METRIC, "seed": COUNT, "value": NUMBER, **_UNIT, **_REST},
    "run": {**RUN_COLUMNS, **_METRIC, "value": NUMBER, **_ERRORS, **_UNIT, **_BOUNDS, **_REST},
    "document": {
        **RUN_COLUMNS,
        "task": TEXT,
        "id": TEXT,
        "category": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        **{key: kind for key, kind in _UNIT.items() if key != "n"},
    },
}


def results_frame(runs: Iterable[StoredRun], per: str = "seed") -> "pd.DataFrame":
    """Return the results of runs, with the values that their files hold.

    Args:
        runs: The runs.
        per: What a row is: a run's metric of a task for one `seed` (NA for a metric without
            seeds), its mean over seeds (`run`), or its mean for one `document`.

    Raises:
        InputError: `per` is something else.
    """
    if per not in _COLUMNS:
        raise InputError(f"per={per}: {nearest(per, _COLUMNS)}")
    rows = _document_rows(runs) if per == "document" else _metric_rows(runs, by_seed=per == "seed")
    return frame(rows, _COLUMNS[per])


def run_fields(run: StoredRun) -> dict[str, Any]:
    """Return what is the same in all rows of a run."""
    record = run.record
    return {
        "run": run.folder,
        "model": run.model,
        "method": run.method,
        "setting": record["setting"],
        "protocol": record["protocol"]["name"],
        "limit": record["limit"],
        "parameters": run.parameters,
        "backend": (record.get("backend") or {}).get("name"),
        "status": record["status"],
        "day": str(record.get("created") or "")[:10] or None,
        "machine": _machine(record.get("environment") or {}),
    }


def _machine(environment: Mapping[str, Any]) -> str | None:
    gpus = environment.get("gpus")
    return ", ".join(dict.fromkeys(gpus)) if gpus else "CPU" if gpus == [] else None


def _results(run: StoredRun) -> Iterator[tuple[dict[str, Any], TaskResult]]:
    fields = run_fields(run)
    for name, result in (*run.results.items(), *run.groups.items()):
        teacher = (result.teacher or {}).get("name")
        yield {**fields, "task": name, "teacher": teacher}, result


def _metric_rows(runs: Iterable[StoredRun], by_seed: bool) -> Iterator[dict[str, Any]]:
    for run in runs:
        for fields, result in _results(run):
            for name, metric in result.metrics.items():
                row = {**fields, **_metric_fields(name, metric, result)}
                if by_seed and metric.per_seed:
                    for seed, value in metric.per_seed.items():
                        yield {**row, "seed": int(seed), "value": value}
                else:
                    yield row


def _metric_fields(name: str, metric: MetricResult, result: TaskResult) -> dict[str, Any]:
    values = {key: getattr(metric, key) for key in (*_ERRORS, *_BOUNDS, *_OF_METRIC)}
    return {"metric": name, "main": name == result.main_metric, **values}


def _document_rows(runs: Iterable[StoredRun]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for fields, result in _results(run):
            ids, categories = result.documents["id"], result.categories
            for name, column in result.documents.items():
                if name in ("id", CATEGORY):
                    continue
                known = result.metrics.get(name)
                of_metric = _metric_fields(name, known, result) if known else {"metric": name}
                for place, value in enumerate(column):
                    category = categories[place] if categories else None
                    own = {"id": ids[place], "category": category, "value": value}
                    yield {**fields, **of_metric, **own}

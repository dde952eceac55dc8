"""Entropies and qualities of students by prompt, read from their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError, nearest
from kdbench.frontiers.measure import ENTROPY, MeasuredStudent, check_name
from kdbench.reports.model import Axis
from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult

if TYPE_CHECKING:
    from kdbench.frontiers.gain import CurveNumbers


@dataclass(frozen=True)
class CurveScores:
    """What all students of a frontier scored, on the prompts that all of them have.

    Attributes:
        quality: The metric of quality.
        temperatures: Temperatures of the points.
        tasks: Names of the tasks.
        prompts: Number of prompts of all tasks.
        protocol: Fields of the protocol that all runs share.
        limit: Number of documents used of each task.
        trainings: Numbers of each training by name: for each task an array of shape
            (2, temperatures, prompts) of entropies and qualities.
        hashes: SHA-256 of each training's checkpoint, by name.
    """

    quality: Axis
    temperatures: tuple[float, ...]
    tasks: tuple[str, ...]
    prompts: int
    protocol: Mapping[str, Any] = field(repr=False)
    limit: int | None
    trainings: "Mapping[str, CurveNumbers]" = field(repr=False)
    hashes: Mapping[str, str | None] = field(repr=False)


_Results = Mapping[str, Mapping[float, Mapping[str, TaskResult]]]


def read_scores(students: Sequence[MeasuredStudent], metric: str | None) -> CurveScores:
    """Read the runs of students.

    Args:
        students: Students whose runs exist.
        metric: Metric of quality; None for rougeL, or the main metric of the tasks.

    Raises:
        InputError: A run lacks the metric or the entropy, or runs answer different prompts.
    """
    runs = {
        training.name: {t: RunFolder(path) for t, path in sorted(training.runs.items())}
        for student in students
        for training in student.trainings
    }
    results: _Results = {
        name: {t: {result.task: result for result in run.tasks()} for t, run in by_t.items()}
        for name, by_t in runs.items()
    }
    every = [of_task for by_t in results.values() for of_task in by_t.values()]
    for name, by_t in results.items():
        for temperature, of_task in by_t.items():
            if not of_task:
                _check_name(every, metric)
                folder = runs[name][temperature].path
                raise InputError(f"{folder}: has no results; measure the students again")
    tasks = tuple(every[0])
    for of_task in every:
        if set(of_task) != set(tasks):
            raise InputError(
                "the runs at the temperatures have different tasks; measure them again"
            )
    quality = _quality(every, metric)
    shared = {task: _shared(task, results, quality.name) for task in tasks}
    records = {name: next(iter(by_t.values())).read_whole_run() for name, by_t in runs.items()}
    first = next(iter(records.values()))
    varies = ("name", "temperature", "seeds")
    return CurveScores(
        quality,
        tuple(next(iter(runs.values()))),
        tasks,
        sum(map(len, shared.values())),
        {key: value for key, value in first["protocol"].items() if key not in varies},
        first["limit"],
        {name: _training(by_t, shared, quality.name) for name, by_t in results.items()},
        {name: record["model"].get("sha256") for name, record in records.items()},
    )


def _check_name(every: Sequence[Mapping[str, TaskResult]], metric: str | None) -> None:
    """Check that some result has the metric, or that it is installed.

    Raises:
        InputError: Neither is so.
    """
    results = [result for of_task in every for result in of_task.values()]
    if metric is not None and not any(metric in result.documents for result in results):
        check_name(metric)


def _quality(every: Sequence[Mapping[str, TaskResult]], metric: str | None) -> Axis:
    """The metric of quality, which all tasks must have by prompt."""
    results = [result for of_task in every for result in of_task.values()]
    name = metric
    if name is None:
        name = "rougeL" if all("rougeL" in r.documents for r in results) else results[0].main_metric
    for result in results:
        if name not in result.documents or result.metrics[name].value is None:
            known = [n for n, m in result.metrics.items() if n in result.documents and m.value]
            raise InputError(
                f"metric={name}: {result.task} has no such number for single prompts; "
                f"{nearest(name, [n for n in known if n != ENTROPY])}"
            )
    found = results[0].metrics[name]
    return Axis(name, found.unit, found.direction)


def _shared(task: str, results: _Results, quality: str) -> list[str]:
    """The ids of the prompts on which all runs have both numbers."""
    known: list[str] | None = None
    prompts = set()
    for by_t in results.values():
        for of_task in by_t.values():
            result = of_task[task]
            prompts.add(result.fingerprint.get("prompts_sha256"))
            if ENTROPY not in result.documents:
                raise InputError(f"{task}: a run has no {ENTROPY}; measure the students again")
            columns = [result.documents[name] for name in ("id", ENTROPY, quality)]
            full = {i for i, *numbers in zip(*columns, strict=True) if None not in numbers}
            known = [i for i in (result.documents["id"] if known is None else known) if i in full]
    if len(prompts) > 1:
        raise InputError(f"{task}: the runs answer different prompts; measure the students again")
    if not known:
        raise InputError(
            f"{task}: there is no prompt on which every run has {quality} and {ENTROPY}"
        )
    return known


def _training(
    by_t: Mapping[float, Mapping[str, TaskResult]], shared: Mapping[str, list[str]], quality: str
) -> "CurveNumbers":
    import numpy as np

    arrays = []
    for task, ids in shared.items():
        rows = []
        for name in (ENTROPY, quality):
            of_metric = []
            for of_task in by_t.values():
                documents = of_task[task].documents
                by_id = dict(zip(documents["id"], documents[name], strict=True))
                of_metric.append([by_id[i] for i in ids])
            rows.append(of_metric)
        arrays.append(np.array(rows, dtype=float))
    return arrays

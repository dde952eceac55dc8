"""What can be compared: a stored run, a model of the results folder, or a gate's baseline.

Each becomes a `Side`: scores by prompt, and what they rest on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class Scores:
    """A metric's scores of one task.

    Attributes:
        means: by prompt, over seeds, shape (prompts,); NaN where not defined.
        unit: of the numbers.
        direction: which way is better.
        version: of the metric.
        teacher: SHA-256 of whom a metric of fidelity compares with; None for another metric.
        bound: `lower` or `upper` where the numbers are bounds of the true ones.
    """

    means: np.ndarray = field(repr=False)
    unit: str
    direction: str
    version: str
    teacher: str | None = None
    bound: str | None = None


@dataclass(frozen=True)
class TaskScores:
    """One task of a side.

    Attributes:
        fingerprint: what must be equal before two sides compare.
        ids: of the prompts, in order.
        metrics: scores by metric.
        pooled: metrics that are there and have no scores by prompt.
    """

    fingerprint: Mapping[str, Any]
    ids: tuple[str, ...] = field(repr=False)
    metrics: Mapping[str, Scores]
    pooled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        label: the model's name, or the baseline's.
        title: the same with what tells checkpoints apart.
        sha256: of the checkpoint; None where it is not known.
        status: `complete`, `running` or `failed`.
        limit: first so many documents of each task.
        tasks: by name.
        folder: of a stored run.
        tolerance: a baseline's own.
    """

    label: str
    title: str
    sha256: str | None
    status: str
    limit: int | None
    tasks: Mapping[str, TaskScores] = field(repr=False)
    folder: Path | None = None
    tolerance: str | None = None

    def by_seed(self, task: str, metric: str) -> np.ndarray | None:
        """Scores by prompt and seed, shape (prompts, seeds), from the samples.

        Returns:
            None where there are no samples, or these have no such score.

        Raises:
            InputError: a malformed line.
        """
        if self.folder is None:
            return None
        rows = {document: row for row, document in enumerate(self.tasks[task].ids)}
        seeds = list(self.tasks[task].fingerprint["protocol"].get("seeds", ()))
        scores = np.full((len(rows), len(seeds)), np.nan)
        for record in RunFolder(self.folder).lines(task).read():
            value = record.get("scores", {}).get(metric)
            if value is not None and record["id"] in rows and record["seed"] in seeds:
                scores[rows[record["id"]], seeds.index(record["seed"])] = value
        return None if np.isnan(scores).all() else scores

    def texts(self, task: str) -> dict[str, str]:
        """The responses of the first seed, by prompt; empty where there are no samples."""
        if self.folder is None:
            return {}
        found: dict[str, str] = {}
        for record in RunFolder(self.folder).lines(task).read():
            found.setdefault(str(record["id"]), str(record["output"]))
        return found


def run_side(folder: Path) -> Side:
    """A stored run.

    Raises:
        InputError: no run, or a broken one.
    """
    run = RunFolder(folder)
    record = run.read_whole_run()
    name, sha256 = record["model"]["name"], record["model"].get("sha256")
    return Side(
        label=name,
        title=titled(name, sha256),
        sha256=sha256,
        status=record["status"],
        limit=record["limit"],
        tasks={result.task: _task_scores(result) for result in run.tasks()},
        folder=folder,
    )


def _task_scores(result: TaskResult) -> TaskScores:
    from kdbench.metrics import compares_with_teacher

    ids = tuple(map(str, result.documents["id"]))
    teacher = (result.teacher or {}).get("sha256")
    return TaskScores(
        fingerprint=result.fingerprint,
        ids=ids,
        metrics={
            name: Scores(
                as_scores(result.documents[name]),
                one.unit,
                one.direction,
                one.version,
                teacher if teacher and compares_with_teacher(name) else None,
                one.bound,
            )
            for name, one in result.metrics.items()
            if len(result.documents.get(name, ())) == len(ids)
        },
        pooled=frozenset(set(result.metrics) - set(result.documents)),
    )


def titled(name: str, sha256: str | None) -> str:
    """`student@1a2b3c4d`."""
    return f"{name}@{sha256[:8]}" if sha256 else name


def as_scores(values: Sequence[float | None]) -> np.ndarray:
    """An array, NaN for None."""
    return np.array([np.nan if one is None else one for one in values], dtype=np.float64)

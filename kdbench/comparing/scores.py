"""The runs that are compared: their scores by prompt, and what the scores depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class PromptScores:
    """The scores of one metric on one task.

    Attributes:
        means: Mean over seeds of each prompt, shape (prompts,); NaN where undefined.
        unit: Unit of the scores.
        direction: Whether `higher` or `lower` is better; `none` if neither is.
        version: Version of the metric.
        teacher: SHA-256 of the teacher that a fidelity metric compares with; None for other
            metrics.
        bound: `lower` or `upper` if the scores only bound the true ones.
    """

    means: np.ndarray = field(repr=False)
    unit: str
    direction: str
    version: str
    teacher: str | None = None
    bound: str | None = None


@dataclass(frozen=True)
class TaskScores:
    """The scores of one task.

    Attributes:
        fingerprint: Fields that must be equal in two runs before they can be compared.
        ids: Document ids of the prompts, in order.
        metrics: Scores of each metric.
        pooled: Metrics that have a result but no score per prompt.
    """

    fingerprint: Mapping[str, Any]
    ids: tuple[str, ...] = field(repr=False)
    metrics: Mapping[str, PromptScores]
    pooled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ComparedRun:
    """One of the two runs of a comparison: a stored run, or the run kept in a gate's baseline.

    Attributes:
        label: Name of the model or of the baseline.
        title: The label with the start of the checkpoint's hash.
        sha256: Hash of the checkpoint; None if unknown.
        status: `complete`, `running` or `failed`.
        limit: Number of documents used of each task; None for all.
        tasks: Scores of each task.
        folder: Folder of a stored run; None for a baseline.
        tolerance: Tolerance that a baseline stores; None for a stored run.
    """

    label: str
    title: str
    sha256: str | None
    status: str
    limit: int | None
    tasks: Mapping[str, TaskScores] = field(repr=False)
    folder: Path | None = None
    tolerance: str | None = None

    def scores_by_seed(self, task: str, metric: str) -> np.ndarray | None:
        """The scores of each prompt and seed, read from the samples.

        Args:
            task: Name of the task.
            metric: Name of the metric.

        Returns:
            Scores of shape (prompts, seeds), NaN where missing; None if the samples or their scores
            are missing altogether.

        Raises:
            InputError: A line of the samples is malformed.
        """
        if self.folder is None:
            return None
        rows = {document: row for row, document in enumerate(self.tasks[task].ids)}
        seeds = list(self.tasks[task].fingerprint.get("protocol", {}).get("seeds", ()))
        scores = np.full((len(rows), len(seeds)), np.nan)
        for sample in RunFolder(self.folder).lines(task).read():
            score = sample.get("scores", {}).get(metric)
            if score is not None and sample["id"] in rows and sample["seed"] in seeds:
                scores[rows[sample["id"]], seeds.index(sample["seed"])] = score
        return None if np.isnan(scores).all() else scores

    def responses(self, task: str) -> dict[str, str]:
        """The response of the first seed to each prompt, by document id; empty without samples.

        Args:
            task: Name of the task.
        """
        if self.folder is None:
            return {}
        responses: dict[str, str] = {}
        for sample in RunFolder(self.folder).lines(task).read():
            responses.setdefault(str(sample["id"]), str(sample["output"]))
        return responses


def read_run(folder: Path) -> ComparedRun:
    """Read a stored run.

    Args:
        folder: Folder of the run.

    Raises:
        InputError: The folder holds no run, or a malformed one.
    """
    run = RunFolder(folder)
    record = run.read_whole_run()
    name, sha256 = record["model"]["name"], record["model"].get("sha256")
    return ComparedRun(
        label=name,
        title=run_title(name, sha256),
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
            name: PromptScores(
                score_array(result.documents[name]),
                metric.unit,
                metric.direction,
                metric.version,
                teacher if teacher and compares_with_teacher(name) else None,
                metric.bound,
            )
            for name, metric in result.metrics.items()
            if len(result.documents.get(name, ())) == len(ids)
        },
        pooled=frozenset(set(result.metrics) - set(result.documents)),
    )


def run_title(name: str, sha256: str | None) -> str:
    """A title such as `student@1a2b3c4d`."""
    return f"{name}@{sha256[:8]}" if sha256 else name


def score_array(scores: Sequence[float | None]) -> np.ndarray:
    """The scores as an array, with NaN for None."""
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)

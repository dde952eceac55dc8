"""The runs that are compared: their scores by prompt, and what the scores depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.comparing.samples import LARGEST_SCORE, is_score, read_samples, samples_file
from kdbench.comparing.texts import TextsOfTask
from kdbench.errors import InputError
from kdbench.store.column import NumberColumn
from kdbench.store.packed_folder import open_run
from kdbench.store.results import TaskResult

_ROUNDING = 2e-6  # stored scores and their means have six decimals


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
        per_seed: Mean over prompts of each sampling seed, for each training; empty for a baseline.
        by_training: Scores of each training of a recipe, shape (trainings, prompts), whose mean is
            `means`; None for a single checkpoint.
    """

    means: np.ndarray = field(repr=False)
    unit: str
    direction: str
    version: str
    teacher: str | None = None
    bound: str | None = None
    per_seed: tuple[Mapping[str, float | None], ...] = field(default=(), repr=False)
    by_training: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TaskScores:
    """The scores of one task.

    Attributes:
        fingerprint: Fields that must be equal in two runs before they can be compared.
        ids: Document ids of the prompts, in order.
        metrics: Scores of each metric.
        pooled: Metrics that have a result but no score per prompt.
        categories: Category of each prompt, None for a prompt without one; empty if the task has no
            categories.
    """

    fingerprint: Mapping[str, Any]
    ids: tuple[str, ...] = field(repr=False)
    metrics: Mapping[str, PromptScores]
    pooled: frozenset[str] = frozenset()
    categories: tuple[str | None, ...] = field(default=(), repr=False)


def can_be_measured(metric: str, fingerprint: Mapping[str, Any]) -> bool:
    """Whether `metrics=` or `judge=` can add a metric to the result of a task.

    A task whose options are scored has its own metrics alone, and a metric of lm-eval, such as
    `acc,none`, belongs to the tasks that define it.

    Args:
        metric: Name of the metric in results.
        fingerprint: Fingerprint of the task's result.
    """
    return "," not in metric and "output_type" not in fingerprint


@dataclass(frozen=True)
class ComparedRun:
    """One of the two sides of a comparison.

    It is a stored run, the run kept in a gate's baseline, or a recipe: the mean of several runs.

    Attributes:
        label: Name of the model or of the baseline.
        title: The label with the start of the checkpoint's hash.
        sha256: Hash of the checkpoint; None if unknown.
        status: `complete`, `running` or `failed`.
        limit: Number of documents used of each task; None for all.
        tasks: Scores of each task.
        folder: Folder of a stored run; None for a baseline.
        tolerance: Tolerance that a baseline stores; None for a stored run.
        texts: Texts of some prompts that a baseline keeps, by task; empty for a stored run, which
            has its samples.
        training_seed: Seed of the training; None if it is unknown, or of several runs.
        trainings: Runs of a recipe with different training seeds, whose mean this is; empty for a
            single run.
    """

    label: str
    title: str
    sha256: str | None
    status: str
    limit: int | None
    tasks: Mapping[str, TaskScores] = field(repr=False)
    folder: Path | None = None
    tolerance: str | None = None
    texts: Mapping[str, TextsOfTask] = field(default_factory=dict, repr=False)
    training_seed: int | None = None
    trainings: tuple["ComparedRun", ...] = field(default=(), repr=False)

    def scores_by_seed(self, task: str, metric: str) -> np.ndarray | None:
        """The scores of each prompt and seed, read from the samples.

        Args:
            task: Name of the task.
            metric: Name of the metric.

        Returns:
            Scores of shape (prompts, seeds), NaN where missing; None if the samples or their scores
            are missing altogether.

        Raises:
            InputError: A line of the samples is malformed, or their scores are not those of the
                results.
        """
        if self.folder is None:
            return None
        of_task = self.tasks[task]
        rows = {document: row for row, document in enumerate(of_task.ids)}
        seeds = list(of_task.fingerprint.get("protocol", {}).get("seeds", ()))
        scores = np.full((len(rows), len(seeds)), np.nan)
        for sample in read_samples(self.folder, task):
            score = sample.scores.get(metric)
            if score is not None and sample.document in rows and sample.seed in seeds:
                scores[rows[sample.document], seeds.index(sample.seed)] = score
        if np.isnan(scores).all():
            return None
        self._check_means(self.folder, task, metric, scores)
        return scores

    def _check_means(self, folder: Path, task: str, metric: str, scores: np.ndarray) -> None:
        """Refuse samples whose scores are not those of the results."""
        means = self.tasks[task].metrics[metric].means
        slack = _ROUNDING * (1 + np.abs(scores).max(axis=1))
        for row in np.flatnonzero(np.abs(scores.mean(axis=1) - means) > slack):
            raise InputError(
                f"{samples_file(folder, task)}: the scores of {metric} for "
                f"'{self.tasks[task].ids[row]}' have the mean {scores[row].mean():g}, but "
                f"{task}.json has {means[row]:g}; kdbench score run={folder} computes both again"
            )


def read_run(folder: Path) -> ComparedRun:
    """Read a stored run.

    Args:
        folder: Folder of the run.

    Raises:
        InputError: The folder holds no run, or a malformed one.
    """
    run = open_run(folder)
    record = run.read_whole_run()
    name, sha256 = record["model"]["name"], record["model"].get("sha256")
    return ComparedRun(
        label=name,
        title=run_title(name, sha256),
        sha256=sha256,
        status=record["status"],
        limit=record["limit"],
        tasks={result.task: _task_scores(result, folder) for result in run.tasks()},
        folder=folder,
        training_seed=(record.get("training") or {}).get("seed"),
    )


def _task_scores(result: TaskResult, folder: Path) -> TaskScores:
    from kdbench.metrics import compares_with_teacher

    ids = tuple(map(str, result.documents["id"]))
    teacher = (result.teacher or {}).get("sha256")
    return TaskScores(
        fingerprint=result.fingerprint,
        ids=ids,
        metrics={
            name: PromptScores(
                _checked_array(result, name, folder),
                metric.unit,
                metric.direction,
                metric.version,
                teacher if teacher and compares_with_teacher(name) else None,
                metric.bound,
                (metric.per_seed,),
            )
            for name, metric in result.metrics.items()
            if name in result.documents and len(result.documents[name]) == len(ids)
        },
        pooled=frozenset(set(result.metrics) - set(result.documents)),
        categories=tuple(result.categories or ()),
    )


def _checked_array(result: TaskResult, metric: str, folder: Path) -> np.ndarray:
    column = result.documents[metric]
    if isinstance(column, NumberColumn) and not (np.abs(column.values) > LARGEST_SCORE).any():
        return column.values
    for document, score in zip(result.documents["id"], column, strict=True):
        if score is not None and not is_score(score):
            raise InputError(
                f"{folder / result.task}.json: the score of {metric} for '{document}' must be null "
                f"or a number of at most {LARGEST_SCORE:g}"
            )
    return score_array(column)


def run_title(name: str, sha256: str | None) -> str:
    """A title such as `student@1a2b3c4d`."""
    return f"{name}@{sha256[:8]}" if sha256 else name


def score_array(scores: Sequence[float | None]) -> np.ndarray:
    """The scores as an array, with NaN for None."""
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)

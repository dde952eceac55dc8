"""Runs of one recipe with different training seeds become one row: the recipe's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdbench.stats.mean import scale_of
from kdbench.stats.variances import MeanTest, Variances, variances
from kdbench.store.recipes import paired_trainings, prompts_of, recipe_of
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RecipeMean:
    """A metric's mean over training seeds, sampling seeds and prompts, averaged over tasks.

    Attributes:
        variances: What it varies with.
        interval: Its 95 % interval, over training seeds and prompts.
        prompts: Number of prompts of all tasks.
    """

    variances: Variances
    interval: tuple[float, float]
    prompts: int


def merged_seeds(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Merge the runs that differ by their training seed alone.

    A merged run stands where the first of its runs stood, with the seed that was trained first in
    its place and its results' means over the training seeds, by prompt.

    Args:
        runs: Runs to show.
    """
    families: dict[object, list[StoredRun]] = {}
    for run in runs:
        families.setdefault(_family(run), []).append(run)
    return [family[0] if len(family) == 1 else _merged(family) for family in families.values()]


def recipe_mean(run: StoredRun, tasks: Sequence[str], metric: str) -> RecipeMean | None:
    """The mean of a merged run; None if a task has no number by prompt in every training.

    Args:
        run: The run.
        tasks: Tasks to average.
        metric: Name of the metric.
    """
    import numpy as np

    scores = [_scores([r.result(task) for r in run.trainings], metric) for task in tasks]
    known = [of_task for of_task in scores if of_task is not None]
    if not known or len(known) < len(scores):
        return None
    found = variances(known)
    result = run.result(tasks[0])
    unit = result.metrics[metric].unit if result else ""
    scale = scale_of(unit, np.concatenate([of_task.ravel() for of_task in known]))
    return RecipeMean(
        replace(found, sampling=_sampling(run, tasks, metric)),
        found.test.shown_interval(scale),
        sum(of_task.shape[2] for of_task in known),
    )


def difference_of_recipes(
    first: StoredRun, second: StoredRun, tasks: Sequence[str], metric: str
) -> MeanTest | None:
    """The test of the difference of two merged runs' means, paired by training seed and prompt.

    Trainings are paired by their place if the seeds differ, and only as many as both have count.

    Args:
        first: A merged run.
        second: Another one.
        tasks: Tasks to average.
        metric: Name of the metric.
    """
    pairs = paired_trainings(first.trainings, second.trainings)
    gaps = []
    for task in tasks:
        scores = _scores([run.result(task) for pair in pairs for run in pair], metric)
        if scores is None:
            return None
        gaps.append(scores[0::2] - scores[1::2])
    return variances(gaps).test if gaps else None


def _family(run: StoredRun) -> object:
    """What runs of one recipe share; of a run without a known seed and recipe, its folder."""
    recipe = recipe_of(run)
    return run.folder if recipe is None else (*recipe, prompts_of(run))


def _merged(family: Sequence[StoredRun]) -> StoredRun:
    """The mean of runs; of two with the same seed, the earlier one counts."""
    by_seed = {run.training_seed: run for run in reversed(family)}
    trainings = tuple(by_seed[seed] for seed in sorted(by_seed, key=lambda seed: seed or 0))
    if len(trainings) == 1:
        return trainings[0]
    first = family[0]
    results = {
        task: _mean_result([run.results[task] for run in trainings]) for task in first.results
    }
    return replace(first, results=results, groups={}, trainings=trainings)


def _mean_result(results: Sequence[TaskResult]) -> TaskResult:
    first = results[0]
    names = [name for name in first.metrics if all(name in r.metrics for r in results)]
    documents = {
        name: _mean_column([r.documents[name] for r in results])
        for name in first.documents
        if name in names and all(name in r.documents for r in results)
    }
    kept = {key: first.documents[key] for key in ("id", "category") if key in first.documents}
    metrics = {name: _mean_metric(name, results) for name in names}
    return replace(first, metrics=metrics, documents={**kept, **documents}, curves={}, judge={})


def _mean_metric(name: str, results: Sequence[TaskResult]) -> MetricResult:
    """A metric's mean over trainings, with its interval over them and the prompts."""
    metrics = [result.metrics[name] for result in results]
    first = metrics[0]
    values = [metric.value for metric in metrics if metric.value is not None]
    if len(values) < len(metrics):
        return replace(first, value=None, ci_low=None, ci_high=None, seed_sd=None, per_seed={})
    deviations = [metric.seed_sd for metric in metrics if metric.seed_sd is not None]
    mean_square = sum(sd**2 for sd in deviations) / len(deviations) if deviations else None
    merged = replace(
        first,
        value=sum(values) / len(values),
        ci_low=None,
        ci_high=None,
        seed_sd=None if mean_square is None else mean_square**0.5,
        per_seed={},
        standard_error=None,
        skewness=None,
        micro=None,
    )
    scores = _scores(results, name)
    if scores is None:
        return merged
    low, high = variances([scores]).test.shown_interval(scale_of(first.unit, scores.ravel()))
    return replace(merged, ci_low=low, ci_high=high, n=scores.shape[2])


def _mean_column(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean of each prompt over trainings; None where one has no number."""
    rows = zip(*columns, strict=True)
    return [
        None if None in row else sum(value for value in row if value is not None) / len(row)
        for row in rows
    ]


def _scores(results: Sequence[TaskResult | None], metric: str) -> "np.ndarray | None":
    """Numbers of the prompts that all trainings have, shape (trainings, 1, prompts)."""
    import numpy as np

    known: list[Mapping[object, float | None]] = []
    for result in results:
        column = None if result is None else result.documents.get(metric)
        if result is None or column is None:
            return None
        known.append(dict(zip(result.documents["id"], column, strict=True)))
    shared = [id_ for id_ in known[0] if all(column.get(id_) is not None for column in known)]
    if len(shared) < 2:
        return None
    return np.array([[[column[id_] for id_ in shared]] for column in known], dtype=float)


def _sampling(run: StoredRun, tasks: Sequence[str], metric: str) -> float | None:
    """Standard deviation between the sampling seeds of one student, averaged over tasks."""
    results = [run.result(task) for task in tasks]
    deviations = [None if r is None else r.metrics[metric].seed_sd for r in results]
    known = [sd for sd in deviations if sd is not None]
    if len(known) < len(deviations):
        return None
    return float(sum(sd**2 for sd in known) ** 0.5 / len(known))

"""Scores of several recipes by training seed and prompt, as an array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.analyses.core.filled import FilledRows
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.tables.recipes import merged_seeds
from kdbench.text import counted

if TYPE_CHECKING:
    import numpy as np

RunsBySeed = Mapping[str, Mapping[int, StoredRun]]
"""Runs by label of the recipe and training seed."""


@dataclass(frozen=True)
class RankedScores:
    """Scores of recipes that were trained with the same seeds.

    Attributes:
        labels: The recipes.
        seeds: The training seeds that all of them have.
        scores: Means over tasks, shape (recipes, seeds).
        tasks: Scores by prompt of each task, (recipes, seeds, prompts); empty if the metric has
            none.
        left_out: Recipes that lack a seed that others have.
        lower: Whether lower scores are better.
        names: The tasks.
    """

    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: "np.ndarray"
    tasks: "tuple[np.ndarray, ...]"
    left_out: tuple[str, ...] = ()
    lower: bool = False
    names: tuple[str, ...] = ()


def runs_of_table(filled: FilledRows) -> RunsBySeed:
    """The runs of a filled table."""
    return {
        label: {seed: row.run for seed, row in filled.of(label).items()} for label in filled.labels
    }


def runs_in(folder: Path, key: str = "stored") -> RunsBySeed:
    """The runs of a folder of results whose recipes have two training seeds or more.

    Results may hold earlier runs of a row that has changed since: those measured last count.

    Args:
        folder: Folder of the results.
        key: Setting that gave it, for messages.

    Raises:
        InputError: There is no such folder, no such recipe, or one label in several settings.
    """
    if not folder.is_dir():
        raise InputError(f"{key}={folder}: no such folder{nearest_path(folder)}")
    recipes: dict[str, StoredRun] = {}
    for run in merged_seeds(list(stored_runs(folder))):
        if not run.trainings:
            continue
        other = recipes.setdefault(run.label, run)
        if other.record["setting"] != run.record["setting"]:
            settings = " and ".join(f"'{one.record['setting']}'" for one in (other, run))
            raise InputError(
                f"{key}={folder}: has {run.label} in the settings {settings}; name the folder of "
                "one table"
            )
        if _last_measured(run) > _last_measured(other):
            recipes[run.label] = run
    found = {
        label: {one.training_seed: one for one in run.trainings if one.training_seed is not None}
        for label, run in recipes.items()
    }
    if len(found) < 2:
        raise InputError(
            f"{key}={folder}: has {len(found)} recipes with several training seeds, and two are "
            "needed: fill the table with train_seeds: 5"
        )
    return found


def with_labels(runs: RunsBySeed, labels: Sequence[str], place: str) -> RunsBySeed:
    """The runs of some recipes, in the order of their labels; all for no labels.

    Args:
        runs: Runs of recipes.
        labels: Labels of those to keep.
        place: Where they are from, for messages.

    Raises:
        InputError: A label is of no recipe, or there is only one.
    """
    for label in labels:
        if label not in runs:
            raise InputError(f"rows={label}: not in {place}: {nearest(label, runs)}")
    if len(set(labels)) == 1:
        raise InputError(f"rows={','.join(labels)}: one row makes no ranking; name two or more")
    return {label: runs[label] for label in labels} if labels else runs


def _last_measured(run: StoredRun) -> str:
    return max(str(one.record.get("created") or "") for one in run.trainings)


def seed_scores(runs: RunsBySeed, metric: str, place: str) -> RankedScores:
    """The scores of recipes, over the tasks that all have.

    Recipes that lack seeds which most recipes have are left out, rather than the seeds.

    Args:
        runs: Two recipes or more, of two training seeds or more.
        metric: Name of the metric.
        place: Where they are from, for messages.

    Raises:
        InputError: The recipes share no two training seeds, or no task with the metric, or were
            measured on different prompts.
    """
    import numpy as np

    most = max(map(len, runs.values()))
    kept = {label: by_seed for label, by_seed in runs.items() if len(by_seed) == most}
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in kept.values())))
    if len(kept) < 2 <= most:
        raise InputError(
            f"{place}: only {next(iter(kept))} has {most} training seeds; train another recipe "
            "with the same seeds"
        )
    if len(seeds) < 2:
        raise InputError(
            f"{place}: its recipes share {counted(len(seeds), 'training seed')}; train two "
            "recipes or more with the same seeds, two or more"
        )
    table = [[by_seed[seed] for seed in seeds] for by_seed in kept.values()]
    every = [run for row in table for run in row]
    tasks = [task for task in every[0].results if all(_has(run, task, metric) for run in every)]
    if not tasks:
        raise InputError(
            f"{place}: no task has {metric} in every run; metric= names another, as rougeL"
        )
    check_prompts(kept, tasks, place)
    scores = [
        [np.mean([run.results[task].metrics[metric].value for task in tasks]) for run in row]
        for row in table
    ]
    by_prompt = [_by_prompt(table, task, metric) for task in tasks]
    known = tuple(array for array in by_prompt if array is not None)
    return RankedScores(
        tuple(kept),
        tuple(seeds),
        np.array(scores, dtype=float),
        known if len(known) == len(tasks) else (),
        tuple(label for label in runs if label not in kept),
        every[0].results[tasks[0]].metrics[metric].direction == "lower",
        tuple(tasks),
    )


def check_rows_differ(found: RankedScores, metric: str, place: str) -> None:
    """Check that there is a ranking.

    Args:
        found: Scores of recipes.
        metric: Name of the metric.
        place: Where they are from, for messages.

    Raises:
        InputError: Each training seed gives all recipes one score.
    """
    if (found.scores == found.scores[0]).all():
        raise InputError(f"metric={metric}: is one number for all rows of {place}; name another")


def check_prompts(runs: RunsBySeed, tasks: Sequence[str], place: str) -> None:
    """Check that all recipes were measured alike, on the same prompts.

    Args:
        runs: The recipes' runs.
        tasks: Tasks that all of them have.
        place: Where they are from, for messages.

    Raises:
        InputError: One was not.
    """
    first = next(iter(runs))
    for task in tasks:
        prompts = {
            label: {str(run.results[task].fingerprint) for run in by_seed.values()}
            for label, by_seed in runs.items()
        }
        for label, own in prompts.items():
            if len(own | prompts[first]) > 1:
                raise InputError(
                    f"{place}: {label} was measured on other prompts of {task} than {first}, or "
                    "with other settings; kdbench fill measures both alike"
                )


def _has(run: StoredRun, task: str, metric: str) -> bool:
    result = run.results.get(task)
    return (
        result is not None
        and metric in result.metrics
        and (result.metrics[metric].value is not None)
    )


def _by_prompt(table: Sequence[Sequence[StoredRun]], task: str, metric: str) -> "np.ndarray | None":
    """Numbers of the prompts that all runs have; None if the metric is not a mean over prompts."""
    import numpy as np

    columns = [[_column(run.results[task], metric) for run in row] for row in table]
    if any(column is None for row in columns for column in row):
        return None
    known = [[column or {} for column in row] for row in columns]
    shared = [
        key
        for key in known[0][0]
        if all(column.get(key) is not None for row in known for column in row)
    ]
    if len(shared) < 2:
        return None
    return np.array(
        [[[column[key] for key in shared] for column in row] for row in known], dtype=float
    )


def _column(result: TaskResult, metric: str) -> dict[object, float | None] | None:
    column = result.documents.get(metric)
    return None if column is None else dict(zip(result.documents["id"], column, strict=True))

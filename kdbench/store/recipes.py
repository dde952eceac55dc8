"""Runs of one recipe: what they share, and how the training seeds of two recipes are paired."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from kdbench.store.packed_folder import open_run
from kdbench.store.places import run_folders_in
from kdbench.store.runs import StoredRun, stored_run


class SeededRun(Protocol):
    """A run whose training seed is known."""

    @property
    def training_seed(self) -> int | None:
        """Seed of the training."""


_Run = TypeVar("_Run", bound=SeededRun)


def recipe_of(run: StoredRun) -> tuple[object, ...] | None:
    """What runs of one recipe share, apart from tasks and prompts; None if the recipe is unknown.

    It is the method's label, the hash of the recipe, the setting, the protocol and the limit.
    """
    training = run.record.get("training") or {}
    if training.get("seed") is None or training.get("recipe") is None or run.method is None:
        return None
    record = run.record
    shared = (record["setting"], record["protocol"]["name"], record["limit"])
    return (run.method, training["recipe"], *shared)


def labels_of_trainings(runs: Sequence[StoredRun]) -> dict[str, str]:
    """The labels of single runs, by folder: `GKD (seed 11)` where a recipe has several seeds.

    Its first training would otherwise be called like the recipe.

    Args:
        runs: Runs to label, each of one training.
    """
    seeds: dict[object, set[int | None]] = {}
    for run in runs:
        seeds.setdefault(recipe_of(run), set()).add(run.training_seed)
    return {
        run.folder: f"{run.method} (seed {run.training_seed})"
        if recipe_of(run) is not None and len(seeds[recipe_of(run)]) > 1
        else run.label
        for run in runs
    }


def prompts_of(run: StoredRun, tasks: Sequence[str] = ()) -> tuple[object, ...]:
    """What runs on the same prompts share.

    Args:
        run: The run.
        tasks: Tasks that count; all if empty.
    """
    return tuple(
        (task, str(result.fingerprint))
        for task, result in sorted(run.results.items())
        if not tasks or task in tasks
    )


def paired_trainings(first: Sequence[_Run], second: Sequence[_Run]) -> list[tuple[_Run, _Run]]:
    """The trainings of two recipes in pairs, as many as both have.

    They are paired by training seed, or by their place where the seeds differ.

    Args:
        first: Trainings of a recipe, by seed.
        second: Trainings of another recipe, by seed.
    """
    count = min(len(first), len(second))
    by_seed = {run.training_seed: run for run in second}
    shared = [(run, by_seed[run.training_seed]) for run in first if run.training_seed in by_seed]
    if len(shared) == count:
        return shared
    return list(zip(first[:count], second[:count], strict=True))


def runs_of_method(label: str, results: Path) -> list[StoredRun]:
    """The runs of a method's label whose recipe is known, by folder.

    Args:
        label: Label of the method, such as that of a table's row.
        results: Folder of the results.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    folders = map(open_run, run_folders_in(results))
    runs = (
        stored_run(folder, results)
        for folder in folders
        if (record := folder.read_whole_run())["method"] == label and not record.get("auxiliary")
    )
    return [run for run in runs if recipe_of(run) is not None]

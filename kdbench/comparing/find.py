"""Finding the run, recipe or baseline that a setting names."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kdbench.comparing.baseline import baseline_path, read_baseline
from kdbench.comparing.recipes import recipe_run
from kdbench.comparing.scores import ComparedRun, read_run
from kdbench.errors import InputError, nearest_of
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import is_run
from kdbench.store.recipes import prompts_of, recipe_of, runs_of_method
from kdbench.store.runs import StoredRun, known_runs, run_folders, stored_run

_WAY_OUT = {"baseline": "; kdbench regress --update writes a baseline"}


def find_run(
    name: str, key: str, results: Path, gates: Path, tasks: Sequence[str] = ()
) -> ComparedRun:
    """The stored run, recipe or baseline of a name.

    Args:
        name: Folder of a run, file or name of a baseline, or name of a model or a recipe in the
            results. A recipe is named by the label of its method, such as that of a table's row,
            and has several training seeds.
        key: Setting that gave the name, for messages.
        results: Folder of the results.
        gates: Folder of the baselines.
        tasks: Tasks that the run must have, if the model has several runs.

    Raises:
        InputError: Nothing has this name, or several things have it.
    """
    path = Path(name)
    if is_run(path):
        return read_run(path)
    if path.suffix == ".json" and path.is_file():
        return read_baseline(path)
    baseline = baseline_path(name, gates)
    folders = run_folders(name, results)
    if baseline.is_file() and folders:
        raise InputError(
            f"{key}={name}: names both the baseline {baseline} and a model in {results}; "
            "give a path instead"
        )
    if baseline.is_file():
        return read_baseline(baseline)
    if len(folders) > 1:
        folders = [folder for folder in folders if _has(folder, tasks)] or folders
    trainings = _trainings(name, key, results, folders, tasks)
    if len(trainings) > 1:
        return _recipe(name, results, trainings, tasks)
    folders = folders or [results / run.folder for run in trainings]
    if len(folders) > 1:
        raise _several(name, key, folders)
    if not folders:
        raise InputError(
            f"{key}={name}: is not a run folder, a model in results={results} or a baseline in "
            f"gates={gates}{nearest_of(name, _names(results, gates))}{_WAY_OUT.get(key, '')}"
        )
    return read_run(folders[0])


def _names(results: Path, gates: Path) -> list[str]:
    return [*known_runs(results), *(file.stem for file in gates.glob("*.json"))]


def _several(name: str, key: str, folders: Sequence[Path]) -> InputError:
    return InputError(f"{key}={name}: has several runs; give one: {', '.join(map(str, folders))}")


def _has(folder: Path, tasks: Sequence[str]) -> bool:
    """Whether a run has results of all these tasks."""
    return all(open_run(folder).has_task(task) for task in tasks)


def _trainings(
    name: str, key: str, results: Path, folders: Sequence[Path], tasks: Sequence[str]
) -> list[StoredRun]:
    """The runs of the recipe that a name stands for, by training seed; empty if there is none.

    Args:
        name: Label of the method.
        key: Setting that gave the name.
        results: Folder of the results.
        folders: Folders of the model of this name, of which the recipe is, if there are any.
        tasks: Tasks to compare; all if empty.

    Raises:
        InputError: The name fits several recipes, or its runs do not belong together.
    """
    models = [stored_run(open_run(folder), results) for folder in folders]
    recipes = {recipe_of(run) for run in models if run.method == name} - {None}
    if models and not recipes:
        return []
    runs = runs_of_method(name, results)
    if models:
        runs = [run for run in runs if recipe_of(run) in recipes]
    place = [results / run.folder for run in runs]
    if len({recipe_of(run) for run in runs}) > 1:
        raise _several(name, key, place)
    if len({run.training_seed for run in runs}) < len(runs):
        raise _several(name, key, place)
    if len({prompts_of(run, tasks) for run in runs}) > 1:
        raise InputError(
            f"{key}={name}: its {len(runs)} training seeds do not have the same tasks and prompts; "
            f"select tasks with tasks=, or give one run: {', '.join(map(str, place))}"
        )
    return sorted(runs, key=lambda run: run.training_seed or 0)


def _recipe(
    name: str, results: Path, trainings: Sequence[StoredRun], tasks: Sequence[str]
) -> ComparedRun:
    """The mean of the trainings, on the tasks that all of them have."""
    runs = [read_run(results / run.folder) for run in trainings]
    shared = [task for task in runs[0].tasks if all(task in run.tasks for run in runs)]
    wanted = [task for task in shared if task in tasks] or shared
    return recipe_run(
        name, [replace(run, tasks={task: run.tasks[task] for task in wanted}) for run in runs]
    )

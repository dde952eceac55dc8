"""Finding the run or baseline that a setting names."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.comparing.baseline import baseline_path, read_baseline
from kdbench.comparing.scores import ComparedRun, read_run
from kdbench.errors import InputError, nearest_of
from kdbench.store.runs import known_runs, run_folders

_WAY_OUT = {"baseline": "; kdbench regress --update writes a baseline"}


def find_run(
    name: str, key: str, results: Path, gates: Path, tasks: Sequence[str] = ()
) -> ComparedRun:
    """The stored run or baseline of a name.

    Args:
        name: Folder of a run, file or name of a baseline, or name of a model in the results.
        key: Setting that gave the name, for messages.
        results: Folder of the results.
        gates: Folder of the baselines.
        tasks: Tasks that the run must have, if the model has several runs.

    Raises:
        InputError: Nothing has this name, or several things have it.
    """
    path = Path(name)
    if (path / "run.json").is_file():
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
    if len(folders) > 1:
        raise InputError(
            f"{key}={name}: has several runs; give one: {', '.join(map(str, folders))}"
        )
    if not folders:
        raise InputError(
            f"{key}={name}: is not a run folder, a model in results={results} or a baseline in "
            f"gates={gates}{nearest_of(name, _names(results, gates))}{_WAY_OUT.get(key, '')}"
        )
    return read_run(folders[0])


def _names(results: Path, gates: Path) -> list[str]:
    return [*known_runs(results), *(file.stem for file in gates.glob("*.json"))]


def _has(folder: Path, tasks: Sequence[str]) -> bool:
    """Whether a run has results of all these tasks."""
    return all((folder / f"{task}.json").is_file() for task in tasks)

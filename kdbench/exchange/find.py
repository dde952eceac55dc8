"""The one stored run that a name stands for, read and checked."""

from pathlib import Path

from kdbench.errors import InputError, nearest_of
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import is_run
from kdbench.store.runs import StoredRun, known_runs, run_folders


def one_run(name: str, results: Path) -> tuple[RunFolder, StoredRun]:
    """The complete run of a name.

    Args:
        name: Folder of a run, or `model` or `model/run` in the results.
        results: Folder of the results.

    Raises:
        InputError: Nothing has this name, several runs have it, or the run is not complete.
    """
    path = Path(name)
    found = [path] if is_run(path) else run_folders(name, results)
    if not found:
        raise InputError(
            f"run={name}: is not a run folder or a model in results={results}"
            f"{nearest_of(name, known_runs(results))}"
        )
    if len(found) > 1:
        raise InputError(f"run={name}: has several runs; give one: {', '.join(map(str, found))}")
    folder = open_run(found[0])
    record = folder.read_whole_run()
    if record["status"] != "complete":
        raise InputError(f"run={name}: is not complete; run its command again to complete it")
    run = StoredRun(
        "/".join(folder.path.resolve().parts[-2:]),
        record,
        {result.task: result for result in folder.tasks()},
        {result.task: result for result in folder.groups()},
    )
    if not run.results:
        raise InputError(f"run={name}: has no results")
    return folder, run

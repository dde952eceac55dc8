"""The public functions that read what is stored, and the one that registers parts."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

from kdbench.api.keyed import Rows

if TYPE_CHECKING:
    import pandas as pd

    from kdbench.store.stored import StoredResults

T = TypeVar("T", bound=type)


class HasRun(Protocol):
    """What names a run, such as the outcome of `evaluate`."""

    @property
    def run(self) -> Path:
        """Folder of the run."""


OneRun: TypeAlias = "str | PathLike[str] | HasRun"
"""A run, or the runs of a folder or model."""


def results(results: str | PathLike[str] = "results") -> "StoredResults":
    """Read the runs of a folder; `to_pandas()` of the outcome gives all their numbers.

    Args:
        results: Folder of the results.

    Returns:
        The runs, which a notebook shows.

    Raises:
        InputError: There is no such folder, or a file in it cannot be read.
    """
    from kdbench.store.stored import read_results

    return read_results(Path(results))


def samples(
    run: "OneRun | StoredResults | Sequence[OneRun]" = "",
    *,
    task: str | Sequence[str] = (),
    results: str | PathLike[str] = "results",
) -> "pd.DataFrame":
    """Return stored responses as a data frame: a row for each document and seed of a run.

    Args:
        run: Run folder, folder of results, model in results=, or what evaluate(), judge() or
            results() returned; or several of these (default: all runs in results=).
        task: Name of the task, or names (default: those of an outcome, else all that have samples).
        results: Folder of the results, for names of models.

    Returns:
        Columns for run, task, id and seed, the prompt, references, output, answer, length and
        finish, and one for each metric that scores single responses.

    Raises:
        InputError: There is no such run or task, or no samples are stored.
    """
    from kdbench.store.sample_frame import find_runs, samples_frame

    given: list[Any] = [run or results]
    if isinstance(run, Sequence) and not isinstance(run, str):
        given = list(run)
    names = [task] if isinstance(task, str) else list(task)
    folders: dict[Path, list[str]] = {}
    for one in given:
        if hasattr(one, "runs"):
            found = {one.folder / stored.folder: names for stored in one.runs}
        elif hasattr(one, "run"):
            found = {Path(one.run): names or list(getattr(one, "results", ()))}
        else:
            found = dict.fromkeys(find_runs(str(one), Path(results)), names)
        folders |= found
    return samples_frame(folders)


@overload
def register(part: T, /) -> T: ...


@overload
def register(name: str, /) -> Callable[[T], T]: ...


@overload
def register(name: str, rows: Rows, /) -> None: ...


def register(part: Any, rows: Any = None, /) -> Any:
    """Register a metric, method, backend or prompts, so that the name works in this process.

    Use it as a decorator of a class: `@kdbench.register("gentle_kl")`, or without a name for a
    metric, which has one. `kdbench.register("capitals", rows)` gives prompts a name for `tasks=`.
    Registering a name again replaces what the same notebook, script or file registered.

    Args:
        part: The class, or the name.
        rows: Prompts: a list of mappings, or a data frame.

    Raises:
        InputError: The class is none of these, has no name, the name is taken, or rows are bad.
    """
    if rows is not None:
        from kdbench.task.given_rows import give_rows

        return give_rows(str(part), rows)
    from kdbench.api.register import register_part

    if isinstance(part, str):
        return lambda kind: register_part(kind, part)
    return register_part(part, None)

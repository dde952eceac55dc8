"""The results of a folder, for Python: its runs, and all their numbers as a data frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kdbench.errors import InputError
from kdbench.store.frames import results_frame, run_fields
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.system.notebook import html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class StoredResults:
    """The runs of a folder.

    Attributes:
        folder: The folder.
        runs: Its runs, by path.
    """

    folder: Path
    runs: tuple[StoredRun, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[StoredRun]:
        return iter(self.runs)

    def __repr__(self) -> str:
        tasks = {task for run in self.runs for task in run.results}
        return f"StoredResults({str(self.folder)!r}: {len(self)} runs, {len(tasks)} tasks)"

    def to_pandas(self, per: Literal["seed", "run", "document"] = "seed") -> "pd.DataFrame":
        """Return all numbers as a tidy data frame.

        Args:
            per: What a row is: a run's metric of a task for one `seed`, its mean over seeds with
                interval (`run`), or its mean for one `document`.
        """
        return results_frame(self.runs, per)

    def _repr_html_(self) -> str:
        titles = ("run", "model", "method", "setting", "tasks", "status", "day")
        rows = []
        for run in self.runs:
            fields = {**run_fields(run), "tasks": ", ".join(run.results)}
            rows.append([str(fields[title] or "") for title in titles])
        notes = ["to_pandas() returns all numbers; kdbench.samples() returns the responses."]
        return html_table(titles, rows, caption=repr(self), notes=notes, left=range(len(titles)))


def read_results(folder: Path) -> StoredResults:
    """Read the runs of a folder.

    Raises:
        InputError: There is no such folder, or a file in it is not the record of a run or not a
            result.
    """
    if not folder.is_dir():
        raise InputError(f"results={folder}: no such folder")
    return StoredResults(folder, tuple(stored_runs(folder)))

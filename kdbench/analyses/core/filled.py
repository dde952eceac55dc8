"""The rows of a filled table, as an analysis reads them: by label and training seed."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.config import TableSettings, build
from kdbench.distillation.card import LOG
from kdbench.errors import InputError
from kdbench.filling.filled import FilledRow
from kdbench.store.runs import StoredRun
from kdbench.system.files import LinesFile
from kdbench.tables.columns import chosen_columns


class FilledRows:
    """Results, checkpoints and training logs by row and training seed.

    Args:
        rows: The rows of the table, the teacher's among them.
        tasks: Tasks of the table.
    """

    def __init__(self, rows: Sequence[FilledRow], tasks: Sequence[str]):
        self.rows, self._tasks = tuple(rows), tuple(tasks)

    @cached_property
    def labels(self) -> list[str]:
        """Labels of the trained rows, in the order of the table."""
        return list(dict.fromkeys(row.label for row in self.rows if row.seed is not None))

    def of(self, label: str) -> dict[int, FilledRow]:
        """The models of a trained row by training seed.

        Raises:
            KeyError: There is no such row.
        """
        found = {row.seed: row for row in self.rows if row.label == label and row.seed is not None}
        if not found:
            raise KeyError(label)
        return found

    def values(self, label: str, column: str) -> dict[int, float]:
        """A measure of a row by training seed.

        Args:
            label: Label of the row.
            column: A column of `kdbench table`: `AVG`, `kl@ref`, `dolly:rougeL`, `log:NAME`.

        Raises:
            InputError: No run has the column, or a run lacks its value.
        """
        return self._each(label, lambda run: self._cell(run, column))

    def value(self, label: str, column: str) -> float:
        """A measure of a row with one model, such as the teacher's.

        Args:
            label: Label of the row.
            column: A column of `kdbench table`.

        Raises:
            InputError: As for `values`.
            KeyError: There is no such row.
        """
        runs = [row.run for row in self.rows if row.label == label]
        if not runs:
            raise KeyError(label)
        return self._cell(runs[0], column)

    def curves(self, label: str, name: str) -> Mapping[int, Mapping[int, float]]:
        """A value of the training logs of a row, by step, by training seed.

        Args:
            label: Label of the row.
            name: Name of the value, such as `loss` or `eval_loss`.

        Raises:
            InputError: A log does not exist or does not have the value.
        """
        return {seed: logged(row.checkpoint, name) for seed, row in self.of(label).items()}

    def _each(self, label: str, read: Callable[[StoredRun], float]) -> dict[int, float]:
        return {seed: read(row.run) for seed, row in sorted(self.of(label).items())}

    def _cell(self, run: StoredRun, column: str) -> float:
        settings = build(TableSettings, {"tasks": self._tasks, "columns": [column]})
        cell = chosen_columns(settings, [row.run for row in self.rows])[0].cell(run)
        if cell is None:
            raise InputError(f"{run.folder}: has no {column}, which the analysis reads")
        return float(cell.value)


def logged(checkpoint: Path, name: str) -> dict[int, float]:
    """A value of a training log by step.

    Args:
        checkpoint: Folder of the checkpoint, which holds the log.
        name: Name of the value.

    Raises:
        InputError: There is no log, or it does not have the value.
    """
    file = LinesFile(checkpoint / LOG)
    found = {
        int(line["step"]): float(line[name])
        for line in file.read()
        if _has_number(line, name) and _has_number(line, "step")
    }
    if not found:
        what = f"has no {name}" if file.path.exists() else "no such file"
        raise InputError(
            f"{file.path}: {what}; the analysis reads it: delete the checkpoint's folder and its "
            "results, and run the same command again"
        )
    return found


def _has_number(line: Mapping[str, Any], name: str) -> bool:
    return isinstance(line.get(name), int | float) and not isinstance(line[name], bool)

"""How many samples the processes of an evaluation have made, counted in their files."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.measuring.likelihood.measuring import options_name
from kdbench.measuring.measurement import Measurement
from kdbench.task import Task

_BLOCK = 1 << 20


class SampleCount:
    """Counts the lines of samples, and of options, that are new since it was made.

    Args:
        runs: The measurements whose tasks are counted.
    """

    def __init__(self, runs: Sequence[Measurement]):
        self._runs = runs
        self._lines: dict[Path, tuple[int, int]] = {}  # bytes read and lines found, by file
        self._most = {(run.run.path, task.name): self._of(run, task) for run, task in self._all()}

    def missing(self) -> int:
        """The samples, and documents with options, that are missing of tasks without a result."""
        return sum(
            run.sampling.missing(task) if task.generates else run.option_measuring.missing(task)
            for run, task in self._all()
            if run.run.read_task(task.name) is None
        )

    def new(self) -> int:
        """The samples that were made since the last call.

        A task's files are replaced by one when it is scored, so its count never falls.
        """
        grown = 0
        for run, task in self._all():
            key, now = (run.run.path, task.name), self._of(run, task)
            grown += max(0, now - self._most[key])
            self._most[key] = max(now, self._most[key])
        return grown

    def _all(self) -> list[tuple[Measurement, Task]]:
        return [(run, task) for run in self._runs for task in run.tasks]

    def _of(self, run: Measurement, task: Task) -> int:
        name = task.name if task.generates else options_name(task.name)
        files = [run.run.lines(name), *run.run.shard_files(name)]
        return sum(self._lines_of(file.path) for file in files)

    def _lines_of(self, path: Path) -> int:
        """The lines of a file, of which only what is new is read."""
        read, lines = self._lines.get(path, (0, 0))
        try:
            with path.open("rb") as file:
                if path.stat().st_size < read:  # it was replaced
                    read = lines = 0
                file.seek(read)
                while block := file.read(_BLOCK):
                    read, lines = read + len(block), lines + block.count(b"\n")
        except FileNotFoundError:
            return 0
        self._lines[path] = read, lines
        return lines

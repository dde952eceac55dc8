"""TensorBoard: event files, in a folder below `TENSORBOARD_LOGGING_DIR` if that is set."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from kdbench.system.names import folder_name
from kdbench.text import escape_md
from kdbench.trackers.tracker import SampleTable, TrackedRun, Tracker, trackers

_SHOWN = 100  # rows of samples, which a page shows as text


@trackers.register("tensorboard")
class TensorBoard(Tracker):
    """The event file of a run."""

    package = extra = "tensorboard"

    def __init__(self, run: TrackedRun, continues: bool):
        from torch.utils.tensorboard import SummaryWriter

        folder = _folder(run)
        self.id = self.place = str(folder)
        # A training goes on after its last step. An evaluation that is logged again replaces all.
        purge = 0 if continues and run.kind == "eval" else None
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        if not continues:
            text = json.dumps({**run.config, "run_folder": str(run.folder)}, indent=1, default=str)
            self._writer.add_text("config", "".join(f"    {line}\n" for line in text.splitlines()))

    @classmethod
    def destination(cls, run: TrackedRun) -> str:
        """Folder of the event files."""
        return str(_folder(run))

    @classmethod
    def open(cls, run: TrackedRun, known: str | None) -> "TensorBoard":
        """Open a new event file in the run's folder."""
        return cls(run, known is not None)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers of a step."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None) -> None:
        """Log the numbers as step 0, and the first samples as a table in Markdown."""
        self.log(metrics, 0)
        if samples is not None:
            rows = [samples.columns, ("---",) * len(samples.columns), *samples.rows[:_SHOWN]]
            lines = ["| " + " | ".join(_cell(value) for value in row) + " |\n" for row in rows]
            self._writer.add_text("samples", "".join(lines))

    def close(self, failed: bool) -> None:
        """Close the file."""
        del failed  # an event file has no status
        self._writer.close()


def _folder(run: TrackedRun) -> Path:
    given = os.environ.get("TENSORBOARD_LOGGING_DIR")
    return Path(given) / folder_name(f"{run.name}-{run.key[:8]}") if given else run.logs.resolve()


def _cell(value: object) -> str:
    return "" if value is None else "---" if value == "---" else escape_md(str(value))

"""The state of a run on disk, from which a killed run resumes.

transformers writes `checkpoint-N` with model, optimiser, learning-rate schedule and random states.
Source, schedule, companion, validations and costs are added to that folder. The file that is
written last makes the checkpoint valid; older ones are removed only then.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.system.files import put_text
from kdbench.training.notes import Notes
from kdbench.training.phases import Phases
from kdbench.training.selection import StudentSelection, best_folder
from kdbench.training.triple import Triple

_STATE = "kdbench_state.json"


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in a folder, complete or not, oldest first."""
    folders = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name[11:]))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; None if there is none."""
    complete = [path for path in checkpoints(folder) if (path / _STATE).is_file()]
    return complete[-1] if complete else None


@dataclass(frozen=True)
class RunState:
    """The parts of a run that are saved with each checkpoint of transformers.

    Attributes:
        triple: Source, schedule and companion have states.
        phases: The costs so far.
        notes: The means of the log's next line.
        selection: The validations and the best student.
        accelerator: Of the run's processes.
    """

    triple: Triple
    phases: Phases
    notes: Notes
    selection: StudentSelection
    accelerator: Any

    def save(self, folder: Path, first: bool) -> None:
        """Complete a checkpoint of transformers and remove what it replaces.

        Args:
            folder: The checkpoint.
            first: Whether this is the process that writes what all processes share.
        """
        if self.triple.companion and first:
            self.triple.companion.save(folder)
        rank = self.accelerator.process_index
        put_text(folder / f"source_{rank}.json", json.dumps(self.triple.source.state()))
        self.accelerator.wait_for_everyone()
        if not first:
            return
        state = {
            "schedule": self.triple.schedule.state(),
            "phases": self.phases.as_dict(),
            **self.selection.state(),
            "notes": self.notes.state(),
        }
        put_text(folder / _STATE, json.dumps(state, indent=1))
        self._remove_older(folder)

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote.

        Raises:
            InputError: a different number of processes wrote it.
        """
        rank = self.accelerator.process_index
        processes = self.accelerator.num_processes
        saved_by = len(list(folder.glob("source_*.json")))
        if saved_by != processes:
            raise InputError(
                f"{folder}: saved by {saved_by} processes; resume with {saved_by}, not {processes}"
            )
        state = json.loads((folder / _STATE).read_text("utf-8"))
        source = json.loads((folder / f"source_{rank}.json").read_text("utf-8"))
        self.triple.source.restore(source)
        self.triple.schedule.restore(state["schedule"])
        if self.triple.companion:
            self.triple.companion.restore(folder)
        self.phases.restore(state["phases"])
        self.selection.restore(state)
        self.notes.restore(state["notes"])

    def _remove_older(self, newest: Path) -> None:
        runs, best = newest.parent, self.selection.best
        kept = {newest} | ({best_folder(runs, best["step"])} if best else set())
        for folder in [*checkpoints(runs), *runs.glob("best-*")]:
            if folder not in kept:
                shutil.rmtree(folder)

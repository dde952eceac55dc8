"""The state of a run on disk, from which a killed run resumes.

transformers writes `checkpoint-N` with model, optimiser, learning-rate schedule and random states.
What each process remembers, schedule, companion, validations and costs are added to that folder.
The file that is written last has the hash of every other one and makes the checkpoint valid. By
then the disk has all of them; only after that are older checkpoints removed.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from kdbench.errors import InputError
from kdbench.system.files import put_text, sync_folder
from kdbench.system.records import damaged, hashes_of, read_record
from kdbench.training.memory import ProcessMemory, ProcessState, plain_state
from kdbench.training.parts import Parts
from kdbench.training.phases import PhaseCost, Phases
from kdbench.training.selection import StudentSelection, best_folder
from kdbench.training.sharding import sharding_of
from kdbench.training.triple import Triple

_STATE = "kdbench_state.json"
_NAME = re.compile(r"checkpoint-(0|[1-9][0-9]{0,17})")


class SharedState(BaseModel):
    """What all processes of a run share, in the file that makes a checkpoint valid.

    Attributes:
        step: The number of the checkpoint's step.
        processes: The number of processes that wrote it.
        sharding: What spread the student over them; None if each had all of it.
        schedule: The state of the schedule.
        phases: The costs so far.
        validations: The validations so far.
        best: The selected validation; None before the first one.
        files: The SHA-256 of every file of the checkpoint and of the best student.
    """

    step: int = Field(ge=0)
    processes: int = Field(ge=1)
    sharding: str | None = None
    schedule: dict[str, Any]
    phases: dict[str, PhaseCost]
    validations: list[dict[str, float]]
    best: dict[str, float] | None
    files: dict[str, str]


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in a folder, complete or not, oldest first."""
    return sorted((path for path in folder.glob("checkpoint-*") if _step(path)), key=_step)


def _step(path: Path) -> int:
    """The step of a checkpoint's folder; 0 for another folder."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder; None if there is no complete one.

    Raises:
        InputError: there are complete checkpoints, but all of them are damaged.
    """
    fault = None
    for checkpoint in reversed(checkpoints(folder)):
        if not (checkpoint / _STATE).is_file():
            continue
        try:
            _check(checkpoint)
        except InputError as error:
            fault = fault or error
        else:
            return checkpoint
    if fault:
        raise InputError(f"{fault}; delete {folder} to train again from the start")
    return None


def _check(checkpoint: Path) -> None:
    """Check that a checkpoint is as it was written.

    Raises:
        InputError: it is not; the line names the file.
    """
    state = read_record(checkpoint / _STATE, SharedState)
    if state.step != _step(checkpoint):
        raise InputError(f"{checkpoint}: damaged: its state is of step {state.step}")
    if file := damaged(state.files, checkpoint.parent):
        raise InputError(f"{file}: missing or damaged")


def check_resumable(checkpoint: Path, accelerator: Any) -> None:
    """Check that processes can resume from a checkpoint, before any of it is loaded.

    Args:
        checkpoint: The checkpoint.
        accelerator: Of the run's processes.

    Raises:
        InputError: a different number of processes wrote it, or the student was spread over them
            in another way.
    """
    state = read_record(checkpoint / _STATE, SharedState)
    processes, sharding = accelerator.num_processes, sharding_of(accelerator)
    if state.processes != processes:
        raise InputError(
            f"{checkpoint}: saved by {state.processes} processes; resume with {state.processes}, "
            f"not {processes}"
        )
    if state.sharding != sharding:
        raise InputError(
            f"{checkpoint}: saved with {state.sharding or 'whole students'}; resume with that, "
            f"not with {sharding or 'whole students'}"
        )


@dataclass(frozen=True)
class RunState:
    """The parts of a run that are saved with each checkpoint of transformers.

    Attributes:
        triple: Source, schedule and companions have states.
        phases: The costs so far.
        memory: What this process remembers.
        selection: The validations and the best student.
        parts: The method's own modules.
        accelerator: Of the run's processes.
    """

    triple: Triple
    phases: Phases
    memory: ProcessMemory
    selection: StudentSelection
    parts: Parts
    accelerator: Any

    def save(self, folder: Path, first: bool) -> None:
        """Complete a checkpoint of transformers and remove what it replaces.

        Args:
            folder: The checkpoint.
            first: Whether this is the process that writes what all processes share.
        """
        if first:
            for companion in self.triple.companions:
                companion.save(folder)
            self.parts.save(folder)
        memory = self.memory.state(self.triple.source)
        put_text(folder / self._process_file, memory.model_dump_json())
        self.accelerator.wait_for_everyone()
        if not first:
            return
        best = self.selection.best
        kept = [folder] + ([best_folder(folder.parent, best["step"])] if best else [])
        for place in kept:
            sync_folder(place)
        state = {
            "step": _step(folder),
            "processes": self.accelerator.num_processes,
            "sharding": sharding_of(self.accelerator),
            "schedule": plain_state(self.triple.schedule),
            "phases": self.phases.as_dict(),
            **self.selection.state(),
            "files": hashes_of(kept, folder.parent),
        }
        put_text(folder / _STATE, json.dumps(state, indent=1))
        sync_folder(folder)
        self._remove_older(folder)

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote.

        Raises:
            InputError: a different number of processes wrote it, or a file is damaged.
        """
        check_resumable(folder, self.accelerator)
        state = read_record(folder / _STATE, SharedState)
        memory = read_record(folder / self._process_file, ProcessState)
        self.memory.restore(memory, self.triple.source)
        self.triple.schedule.restore(state.schedule)
        for companion in self.triple.companions:
            companion.restore(folder)
        self.parts.restore(folder)
        self.phases.restore({name: cost.model_dump() for name, cost in state.phases.items()})
        self.selection.restore({"validations": state.validations, "best": state.best})

    @property
    def _process_file(self) -> str:
        return f"process_{self.accelerator.process_index}.json"

    def _remove_older(self, newest: Path) -> None:
        runs, best = newest.parent, self.selection.best
        kept = {newest} | ({best_folder(runs, best["step"])} if best else set())
        for folder in [*checkpoints(runs), *runs.glob("best-*")]:
            if folder not in kept:
                shutil.rmtree(folder)

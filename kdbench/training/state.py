"""A trainer's state on disk: what a killed run goes on from.

transformers writes `checkpoint-N` with model, optimiser, schedule of the learning rate and random
states; source, schedule, companion, validations and costs lie in it too. The file written last
makes it valid, and only then older ones go.
"""

import json
import shutil
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.system.files import put_text
from kdbench.training.notes import Notes
from kdbench.training.phases import Phases
from kdbench.training.triple import Triple

_STATE = "kdbench_state.json"


class Remembering(Interface):
    """What of a trainer is kept.

    Attributes:
        triple: source, schedule and companion have states.
        phases: costs.
        notes: of the log's next line.
        validations: all so far.
        best: the selected one of them.
        accelerator: of the processes.
        args: transformers' arguments.
    """

    triple: Triple
    phases: Phases
    notes: Notes
    validations: list[dict[str, float]]
    best: dict[str, float] | None
    accelerator: Any
    args: Any


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints and broken ones, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole."""
    whole = [path for path in checkpoints(folder) if (path / _STATE).is_file()]
    return whole[-1] if whole else None


def best_folder(folder: Path, step: float) -> Path:
    """Where the best student so far lies, by the step of its validation."""
    return folder / f"best-{step:.0f}"


def save_state(trainer: Remembering, folder: Path) -> None:
    """Add our part to transformers' checkpoint, make it valid, and remove what it replaces."""
    rank, first = trainer.accelerator.process_index, trainer.args.should_save
    if trainer.triple.companion and first:
        trainer.triple.companion.save(folder)
    put_text(folder / f"source_{rank}.json", json.dumps(trainer.triple.source.state()))
    trainer.accelerator.wait_for_everyone()
    if not first:
        return
    state = {
        "schedule": trainer.triple.schedule.state(),
        "phases": trainer.phases.as_dict(),
        "validations": trainer.validations,
        "best": trainer.best,
        "notes": trainer.notes.state(),
    }
    put_text(folder / _STATE, json.dumps(state, indent=1))
    best = trainer.best and best_folder(folder.parent, trainer.best["step"])
    for other in [*checkpoints(folder.parent), *folder.parent.glob("best-*")]:
        if other not in (folder, best):
            shutil.rmtree(other)


def restore_state(trainer: Remembering, folder: Path) -> None:
    """Go on from what `save_state` wrote.

    Raises:
        InputError: another number of processes wrote it.
    """
    rank = trainer.accelerator.process_index
    processes = trainer.accelerator.num_processes
    kept = len(list(folder.glob("source_*.json")))
    if kept != processes:
        raise InputError(
            f"{folder}: a state of {kept} processes; go on with as many, not with {processes}"
        )
    state = json.loads((folder / _STATE).read_text("utf-8"))
    source = json.loads((folder / f"source_{rank}.json").read_text("utf-8"))
    trainer.triple.source.restore(source)
    trainer.triple.schedule.restore(state["schedule"])
    if trainer.triple.companion:
        trainer.triple.companion.restore(folder)
    trainer.phases.restore(state["phases"])
    trainer.validations, trainer.best = state["validations"], state["best"]
    trainer.notes.restore(state["notes"])

"""A training in experiment trackers: its log as transformers names it, and its run card.

What was logged is noted next to the states, so that the steps that a resumed training repeats are
not logged twice.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import rewrite_logs

from kdbench.distillation.card import LOG
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.processes import process_number
from kdbench.system.files import SCHEMA, read_json, write_json
from kdbench.system.secrets import public
from kdbench.trackers import OpenTrackers, TrackedRun, open_trackers, own_trackers, trackers
from kdbench.version import __version__

_FILE = "tracked.json"


class TrainingTrackers(TrainerCallback):
    """Passes each line of the log to the trackers, once.

    Args:
        opened: The trackers in which the run is open.
        file: Where it is noted what was logged.
        noted: The content of that file.

    Attributes:
        before: The number of steps of the stages before the present one.
    """

    def __init__(self, opened: OpenTrackers, file: Path, noted: Mapping[str, Any]):
        self._opened, self._file, self._noted = opened, file, dict(noted)
        self.before = 0

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any
    ) -> None:
        """Log the numbers of a line that were not logged before."""
        del args, control
        step, last = int(state.global_step) + self.before, self._noted["step"]
        seen = set(self._noted["names"]) if step == last else set()
        numbers = {name: value for name, value in logs.items() if isinstance(value, int | float)}
        new = {name: value for name, value in rewrite_logs(numbers).items() if name not in seen}
        if step < last or not new:
            return
        self._opened.log(new, step)
        self._noted |= {"step": step, "names": sorted({*seen, *new})}
        write_json(self._file, self._noted)

    def finish(self, card: Mapping[str, Any]) -> None:
        """Log what only the finished run card has.

        Args:
            card: The run card.
        """
        numbers = {f"selected/{name}": value for name, value in card["selected"].items()}
        for phase, cost in card["phases"].items():
            numbers |= {f"phases/{phase}_{name}": value for name, value in cost.items()}
        numbers["parameters"] = card["parameters"]
        self._opened.summarise(
            {name: float(value) for name, value in numbers.items() if value is not None}
        )


@contextmanager
def tracked_training(
    ingredients: Ingredients, describes: Mapping[str, Any], out: Path, folder: Path
) -> Iterator[TrainingTrackers | None]:
    """Open a training in the trackers of `report_to=`, and close it at the end.

    Args:
        ingredients: Settings, checkpoints and data.
        describes: Fields of the run card that are known before training.
        out: Folder of the checkpoint.
        folder: Folder of the states.

    Yields:
        The callback for the trainer; None if there is nothing to log to.
    """
    settings = ingredients.settings
    names = own_trackers(settings.report_to)
    if not names or process_number():
        yield None
        return
    run = _run(ingredients, describes, out)
    file = folder / _FILE
    stored = read_json(file) if file.exists() else {}
    if stored.get("key") != run.key:  # of another training that left nothing else
        stored = {}
    known, destinations = {}, {name: public(trackers.get(name).destination(run)) for name in names}
    for name in names:
        before = stored.get("runs", {}).get(name, {})
        known[name] = before.get("id") if before.get("destination") == destinations[name] else None
    opened = open_trackers(run, known, f"the log is in {out / LOG}")
    runs = {
        name: {"id": tracker.id, "destination": destinations[name]}
        for name, tracker in opened.opened.items()
    }
    fresh = {"schema": SCHEMA, "key": run.key, "step": -1, "names": []}
    noted = {**fresh, **stored, "runs": runs}
    write_json(file, noted)
    failed = True
    try:
        yield TrainingTrackers(opened, file, noted)
        failed = False
    finally:
        opened.close(failed)


def _run(ingredients: Ingredients, describes: Mapping[str, Any], out: Path) -> TrackedRun:
    settings = ingredients.settings
    config = {
        **describes,
        "training": ingredients.identity,
        "device": ingredients.device,
        "kdbench_version": __version__,
    }
    identity = json.dumps([ingredients.identity, str(out.resolve())], sort_keys=True)
    return TrackedRun(
        key=hashlib.sha256(identity.encode()).hexdigest()[:16],
        name=out.name if settings.label is None else settings.label,
        kind="train",
        config=public(config),
        folder=out.resolve(),
        logs=out.with_name(f"{out.name}.logs"),
        group=settings.report_group,
    )

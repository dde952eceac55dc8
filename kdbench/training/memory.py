"""What one process of a run remembers: its source, sums for the log, and the prompts it used."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from kdbench.errors import InputError
from kdbench.training.notes import Notes
from kdbench.training.schedule import Schedule
from kdbench.training.source import Source
from kdbench.views.rollout import Rollout

Sums = dict[str, tuple[float, float]]


def plain_state(member: Source | Schedule) -> dict[str, Any]:
    """The state of a source or schedule, which a resumed run finds as it was.

    Raises:
        InputError: It would not come back equal from JSON: it has keys that are no text, tuples,
            tensors or values that are not finite.
    """
    state = member.state()
    try:
        text = json.dumps(state, allow_nan=False)
        same = isinstance(state, dict) and json.loads(text) == state
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise InputError(
            f"{type(member).__name__}.state() is not plain JSON, and a resumed run would differ: "
            "return a dict of texts, finite numbers, booleans, None, and lists and dicts of these "
            "with keys that are texts"
        )
    return state


class ProcessState(BaseModel):
    """The memory of a process on disk.

    Attributes:
        source: The state of the data source.
        notes: Sums and counts since the last line of the log.
        whole_run: Sums and counts since the start of the run.
        prompts: Ids of the examples whose prompts were used.
    """

    source: dict[str, Any]
    notes: Sums
    whole_run: Sums
    prompts: list[str]


class ProcessMemory:
    """The memory of a process.

    Attributes:
        notes: The means of the log's next line.
        whole_run: The means of the whole run.
        prompts: Ids of the examples whose prompts were used.
    """

    def __init__(self) -> None:
        self.notes, self.whole_run = Notes(), Notes()
        self.prompts: set[str] = set()

    def add_rollouts(self, rollouts: Iterable[Rollout]) -> None:
        """Remember which prompts were used."""
        self.prompts |= {row.id for row in rollouts if row.origin != "pretraining"}

    def all_prompts(self) -> set[str]:
        """The prompts that any process used; every process must call it."""
        from accelerate.utils import gather_object

        return set(gather_object(sorted(self.prompts)))

    def state(self, source: Source) -> ProcessState:
        """The memory, with the state of the source."""
        return ProcessState(
            source=plain_state(source),
            notes=self.notes.state(),
            whole_run=self.whole_run.state(),
            prompts=sorted(self.prompts),
        )

    def restore(self, state: ProcessState, source: Source) -> None:
        """Continue from a state; the source's is restored as well."""
        source.restore(state.source)
        self.notes.restore(state.notes)
        self.whole_run.restore(state.whole_run)
        self.prompts = set(state.prompts)

"""What a tracker is. A new one is one file in `clients`, or an entry point of `kdbench.trackers`.

A tracker logs through the client of its own package, which finds server, project and login as it
always does: in its environment variables and files. kdbench never reads or stores a key.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from kdbench.registry import Registry

PROJECT = "kdbench"
"""Project in every tracker, unless the client's own variable names another."""


class TrackerError(Exception):
    """Why a tracker cannot log, in one line with the way out."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers show it.

    Attributes:
        key: Eight or more hexadecimal digits that identify the run; equal after a resume.
        name: Name of the run.
        kind: Which verb made it.
        config: What the run is: settings, protocol, identities.
        folder: Folder of the run's files.
        logs: Folder for the files of a tracker that has no server.
        group: Group of the run; None for none.
    """

    key: str
    name: str
    kind: Literal["eval", "train"]
    config: Mapping[str, Any] = field(repr=False)
    folder: Path
    logs: Path
    group: str | None = None


@dataclass(frozen=True)
class SampleTable:
    """A table of samples: texts and scores.

    Attributes:
        columns: Names of the columns.
        rows: Values by row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = field(repr=False)


class Tracker(ABC):
    """A run that is open in one tracker.

    Attributes:
        package: Package that must be installed, as it is imported.
        extra: Extra of kdbench that installs it; None for a tracker of another package.
        id: Id of the run in the tracker, by which `open` finds it again.
        place: Where a person finds the run: an address, or a folder.
    """

    package: ClassVar[str]
    extra: ClassVar[str | None] = None

    id: str
    place: str

    @classmethod
    @abstractmethod
    def destination(cls, run: TrackedRun) -> str:
        """Server and project to which the run goes; a run is logged once to each."""

    @classmethod
    def prepare(cls) -> None:
        """Make what several processes need that log at the same time, such as a database."""
        return  # most trackers need nothing

    @classmethod
    @abstractmethod
    def open(cls, run: TrackedRun, known: str | None) -> "Tracker":
        """Open a run.

        Args:
            run: The run.
            known: Id under which it was opened before, to continue it; None for a new run.

        Raises:
            TrackerError: The tracker cannot log, for a reason that the user can fix.
        """

    @abstractmethod
    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers of a step."""

    @abstractmethod
    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None) -> None:
        """Log the numbers of the whole run, and its samples."""

    @abstractmethod
    def close(self, failed: bool) -> None:
        """Send what is left, and end the run."""


trackers: Registry[type[Tracker]] = Registry(
    "tracker", "kdbench.trackers.clients", "kdbench.trackers"
)


def flat(config: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted key: `protocol.temperature`."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{start}{key}.")
        else:
            values[f"{start}{key}"] = value
    return values

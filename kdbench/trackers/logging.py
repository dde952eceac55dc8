"""Several trackers at once. A fault of one is a line on stderr; it stops neither run nor others.

Results are on this disk before any tracker sees them, so nothing is lost with a tracker.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kdbench.errors import InputError, nearest, reason_of
from kdbench.system.console import report_progress
from kdbench.system.secrets import without_secrets
from kdbench.trackers.tracker import SampleTable, TrackedRun, Tracker, trackers


def own_trackers(names: Sequence[str]) -> list[str]:
    """Those of the names that are trackers of kdbench; `train` also knows transformers' loggers."""
    known = trackers.names()
    return [name for name in dict.fromkeys(names) if name in known]


def check_trackers(names: Sequence[str], others: Sequence[str] = ()) -> None:
    """Check, before any work, that trackers exist and their packages are installed.

    Args:
        names: Names in `report_to=`.
        others: Further names that are allowed.

    Raises:
        InputError: A name is unknown, or a package is missing.
    """
    for name in names:
        if name in others:
            continue
        if name not in trackers.names():
            known = nearest(name, [*trackers.names(), *others])
            raise InputError(f"report_to={name}: unknown tracker; {known}")
        kind = trackers.get(name)
        if not _is_installed(kind.package):
            wanted = f"'kdbench[{kind.extra}]'" if kind.extra else kind.package
            raise InputError(f"report_to={name} needs {kind.package}: pip install {wanted}")


def _is_installed(package: str) -> bool:
    """Whether a package is installed; a folder of files, such as W&B's `wandb`, is none."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


@dataclass
class OpenTrackers:
    """The trackers in which a run is open.

    Attributes:
        run: The run.
        after: What a person does after a fault, for the message.
        opened: Trackers by name.
    """

    run: TrackedRun
    after: str
    opened: dict[str, Tracker] = field(default_factory=dict)

    def open(self, name: str, known: str | None) -> None:
        """Open the run in one more tracker.

        Args:
            name: Name of the tracker.
            known: Id of the run in it; None if it is new.
        """

        def do() -> Tracker:
            return trackers.get(name).open(self.run, known)

        if (tracker := self._guarded(name, do)) is not None:
            self.opened[name] = tracker

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers of a step to all trackers."""
        for name, tracker in [*self.opened.items()]:
            self._do(name, partial(tracker.log, metrics, step))

    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None = None) -> None:
        """Log the numbers and samples of the whole run to all trackers."""
        for name, tracker in [*self.opened.items()]:
            self._do(name, partial(tracker.summarise, metrics, samples))

    def close(self, failed: bool = False) -> dict[str, Tracker]:
        """End the run in all trackers.

        Returns:
            The trackers that have taken everything, by name.
        """
        for name, tracker in [*self.opened.items()]:
            self._do(name, partial(tracker.close, failed))
        return self.opened

    def _do(self, name: str, action: Callable[[], None]) -> None:
        """Do one thing with a tracker; one that fails gets nothing more."""

        def do() -> bool:
            action()
            return True

        if self._guarded(name, do) is None:
            tracker = self.opened.pop(name)
            with suppress(Exception):  # so that it does not count as running for ever
                tracker.close(failed=True)

    def _guarded(self, name: str, action: Callable[[], Any]) -> Any:
        """The value of an action; None after a fault, which is reported."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - a client may raise anything, and no run may stop
            reason = without_secrets(reason_of(error))
            report_progress(f"warning: report_to={name}: {reason}; {self.after}")
            return None


def prepare_trackers(names: Sequence[str]) -> None:
    """Prepare trackers for several processes; one that fails is reported by each of these."""
    for name in own_trackers(names):
        with suppress(Exception):
            trackers.get(name).prepare()


def open_trackers(run: TrackedRun, known: Mapping[str, str | None], after: str) -> OpenTrackers:
    """Open a run in several trackers.

    Args:
        run: The run.
        known: The id of the run by name of the tracker; None where it is new.
        after: What a person does after a fault, for the message.
    """
    opened = OpenTrackers(run, after)
    for name, id_of_run in known.items():
        opened.open(name, id_of_run)
    return opened

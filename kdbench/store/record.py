"""`run.json`: what a run is, where it ran, how long it took, and whether it is complete."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.system.environment import environment, git_state
from kdbench.version import __version__

# What decides the texts of a task. Its definition also decides how they are scored, so it counts
# only for runs that did not record the stop strings by themselves.
_TEXT_KEYS = ("task_version", "definition_sha256", "data_sha256", "prompts_sha256", "until")

_MOST_COMMANDS = 20  # of one run: each that measured it differently


class RunRecord:
    """The record of one run.

    Args:
        run: Folder of the run.
    """

    def __init__(self, run: RunFolder):
        self.run = run

    def begin(
        self,
        task: str,
        fingerprint: Mapping[str, Any],
        identity: Mapping[str, Any],
        batch_size: int | None = None,
        cut_prompts: int | None = None,
    ) -> None:
        """Record a task before its first sample is written.

        Args:
            task: Name of the task.
            fingerprint: Fingerprint of the task, which names its data and prompts.
            identity: Model, method, setting, protocol, limit and backend, for a new `run.json`.
            batch_size: Batch size in use; None if unknown.
            cut_prompts: Number of prompts that the protocol's limit cut; None if unknown.
        """

        def change(run: dict[str, Any]) -> dict[str, Any]:
            run = run or _new(identity)
            entry = {
                **(run["tasks"].get(task) or _measured_by()),
                **{key: fingerprint[key] for key in _TEXT_KEYS if key in fingerprint},
            }
            entry["cut_prompts"] = cut_prompts
            return {
                **run,
                "backend": {**run["backend"], "batch_size": batch_size},
                "tasks": {**run["tasks"], task: entry},
                "status": "running",
            }

        self.run.update_run(change)

    def check_same_texts(self, task: str, fingerprint: Mapping[str, Any]) -> None:
        """Check that stored samples were generated from today's data and prompts.

        Raises:
            InputError: Data or prompts have changed since.
        """
        recorded = self.task(task)
        separate = "definition_sha256" if "until" in recorded else "until"
        for key in _TEXT_KEYS:
            if not recorded or key not in fingerprint or key == separate:
                continue
            if recorded.get(key) != fingerprint[key]:
                was, now = str(recorded.get(key))[:12], str(fingerprint[key])[:12]
                raise InputError(
                    f"{self.run.path}: stored samples for '{task}' were generated from different "
                    f"prompts ({key} was {was}, is {now}); pass name=… to keep both, or delete "
                    "the folder"
                )

    def rescore(self, task: str, fingerprint: Mapping[str, Any]) -> None:
        """Record the definition by which the stored samples of a task are scored now.

        Args:
            task: Name of the task.
            fingerprint: Fingerprint of the task, whose texts are those recorded.
        """
        recorded, key = self.task(task), "definition_sha256"
        if recorded.get(key) != fingerprint.get(key):
            entry = {**recorded, key: fingerprint[key]}
            self.run.update_run(lambda run: {**run, "tasks": {**run["tasks"], task: entry}})

    def task(self, task: str) -> dict[str, Any]:
        """Return what is recorded for a task; empty before its first sample."""
        return dict(self.run.read_checked_run().get("tasks", {}).get(task, {}))

    def batch_size(self) -> int | None:
        """Return the batch size of the run so far; in low precision it can affect the text."""
        size: int | None = self.run.read_checked_run().get("backend", {}).get("batch_size")
        return size

    def note(self, **fields: Any) -> None:
        """Set fields of the record; nothing is written for a run that has not begun."""
        if self.run.read_checked_run():
            self.run.update_run(lambda run: {**run, **fields})

    def finish(self, commands: Sequence[Sequence[str]] = (), **labels: Any) -> None:
        """Set the status, and the labels that are not None.

        Args:
            commands: Words of the commands of this call; those that measure something else than the
                recorded ones are added.
            labels: Labels to set.
        """

        def change(run: dict[str, Any]) -> dict[str, Any]:
            complete = all((self.run.path / f"{task}.json").exists() for task in run["tasks"])
            given = {key: label for key, label in labels.items() if label is not None}
            if run.get("commands") is not None:  # a run of before commands were recorded has none
                known = list(run["commands"])
                for words in commands:
                    if not any(_measured(words) <= _measured(other) for other in known):
                        known.append(list(words))
                given["commands"] = known[:_MOST_COMMANDS]
            return {**run, **given, "status": "complete" if complete else "running"}

        if self.run.read_checked_run():
            self.run.update_run(change)

    def add_plugins(self, hashes: Mapping[str, str]) -> None:
        """Add to the files of `plugins=` that measured the run: their SHA-256 by name."""
        if hashes and self.run.read_checked_run():
            self.run.update_run(
                lambda run: {**run, "plugins": {**run.get("plugins", {}), **hashes}}
            )

    def label(self, **labels: str | None) -> None:
        """Set the labels that the run does not have yet."""
        run = self.run.read_checked_run()
        if run:
            new = {key: label for key, label in labels.items() if label and run.get(key) is None}
            self.note(**new)

    def add_timing(self, task: str, samples: int, tokens: int, seconds: float) -> None:
        """Add to the recorded generation cost of a task."""

        def change(run: dict[str, Any]) -> dict[str, Any]:
            entry = dict(run["tasks"][task])
            for key, value in (("samples", samples), ("tokens", tokens), ("seconds", seconds)):
                entry[f"generated_{key}"] = entry.get(f"generated_{key}", 0) + value
            return {**run, "tasks": {**run["tasks"], task: entry}}

        self.run.update_run(change)


def _measured_by() -> dict[str, Any]:
    """Who measures a task, which may be another version or machine than that of the run."""
    return {
        "kdbench_version": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpus": environment()["gpus"],
    }


def _new(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **identity,
        "kdbench_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "git": git_state(),
        "tasks": {},
    }


_SAME = ("metrics=", "token_details=", "device=", "batch_size=", "teacher_cache=", "shard=")
"""Starts of the words that may differ between commands of one measurement."""


def _measured(words: Sequence[str]) -> set[str]:
    """What a command measures; one with fewer words measures a part of it."""
    return {word for word in words if not word.startswith(_SAME)}

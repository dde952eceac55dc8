"""`run.json`: what a run is, what it ran on, how long it took, whether it is whole."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.system.environment import environment, git_state
from kdbench.version import __version__

_TEXTS = ("task_version", "definition_sha256", "data_sha256", "prompts_sha256")


class RunRecord:
    """The record of one run folder.

    Args:
        run: the folder.
        identity: model, method, setting, protocol, limit, backend: what a new record begins with.
    """

    def __init__(self, run: RunFolder, identity: Mapping[str, Any]):
        self.run, self.identity = run, identity

    def begin(
        self,
        task: str,
        fingerprint: Mapping[str, Any],
        batch_size: int | None = None,
        cut_prompts: int | None = None,
    ) -> None:
        """Write down what is generated, and in which company, before its first sample."""

        def change(run: dict[str, Any]) -> dict[str, Any]:
            run = run or self._new()
            entry = {
                **run["tasks"].get(task, {}),
                **{key: fingerprint[key] for key in _TEXTS if key in fingerprint},
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
        """Check that stored samples answer the prompts of now.

        Raises:
            InputError: data or prompts have changed since.
        """
        noted = self.task(task)
        for key in _TEXTS:
            if noted and key in fingerprint and noted.get(key) != fingerprint[key]:
                was, now = str(noted.get(key))[:12], fingerprint[key][:12]
                raise InputError(
                    f"{self.run.path}: its samples of '{task}' answer other prompts ({key} was "
                    f"{was}, is {now}); pass name=… to keep both, or delete the folder"
                )

    def task(self, task: str) -> dict[str, Any]:
        """What is written down for a task, empty before its first sample."""
        return dict(self.run.read_run().get("tasks", {}).get(task, {}))

    def batch_size(self) -> int | None:
        """That of the run's earlier part: in low precision a row can feel its company."""
        size: int | None = self.run.read_run().get("backend", {}).get("batch_size")
        return size

    def note(self, **fields: Any) -> None:
        """Change fields of the record; nothing is written for a run that has not begun."""
        if self.run.read_run():
            self.run.update_run(lambda run: {**run, **fields})

    def finish(self, **labels: str | None) -> None:
        """Set the status by what is there, and the labels that this call was given."""

        def change(run: dict[str, Any]) -> dict[str, Any]:
            whole = all((self.run.path / f"{task}.json").exists() for task in run["tasks"])
            given = {key: label for key, label in labels.items() if label is not None}
            return {**run, **given, "status": "complete" if whole else "running"}

        if self.run.read_run():
            self.run.update_run(change)

    def label(self, **labels: str | None) -> None:
        """Give the run labels that it has none of yet."""
        run = self.run.read_run()
        if run:
            self.note(**{key: one for key, one in labels.items() if one and run.get(key) is None})

    def add_timing(self, task: str, samples: int, tokens: int, seconds: float) -> None:
        """Add to the task's generation cost."""

        def change(run: dict[str, Any]) -> dict[str, Any]:
            entry = dict(run["tasks"][task])
            for key, value in (("samples", samples), ("tokens", tokens), ("seconds", seconds)):
                entry[f"generated_{key}"] = entry.get(f"generated_{key}", 0) + value
            return {**run, "tasks": {**run["tasks"], task: entry}}

        self.run.update_run(change)

    def _new(self) -> dict[str, Any]:
        return {
            **self.identity,
            "kdbench_version": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": environment(),
            "git": git_state(),
            "tasks": {},
        }

"""Notes on rows that are partial, mixed or stale, so that nobody takes them for more than they are.

What is on this disk counts only where it certainly differs: a note on a guess would be noise, and a
table that is checked in would change from machine to machine.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.errors import InputError
from kdbench.metrics import base_of, judged_metric, metrics
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.system.bundled import bundled
from kdbench.tables.model import listed
from kdbench.tables.provenance import gpus_name, machine_of

if TYPE_CHECKING:
    from kdbench.tables.column import Column

_MOST_BYTES = 256 * 2**20  # of a checkpoint that is hashed to draw a table: about a second
_VERSION = re.compile(r"^  version: *(\S+)", re.MULTILINE)


def condition_notes(run: StoredRun, columns: Sequence["Column"]) -> list[str]:
    """What a reader must know of a row, apart from the other rows.

    Args:
        run: The run of the row, which may be the mean of several trainings.
        columns: Columns of the table.
    """
    notes = [note for one in run.trainings or (run,) for note in _of_run(one, columns)]
    return list(dict.fromkeys(notes))


def _of_run(run: StoredRun, columns: Sequence["Column"]) -> Iterator[str]:
    yield from _partial(run)
    yield from _mixed(run, columns)
    yield from _outdated(run, columns)
    if _checkpoint_differs(run):
        yield "stale: its checkpoint has changed on disk since"


def _partial(run: StoredRun) -> Iterator[str]:
    if run.record["status"] == "complete":
        return
    missing = sorted(task for task in run.record.get("tasks", {}) if task not in run.results)
    yield "the run is not complete" + (f": no result for {listed(missing)}" if missing else "")


def _mixed(run: StoredRun, columns: Sequence["Column"]) -> Iterator[str]:
    """Where its tasks were measured by different versions, on different machines or days."""
    shown = {task for column in columns for task in column.tasks}
    entries = [entry for task, entry in run.record.get("tasks", {}).items() if task in shown]
    of_run = str(run.record.get("kdbench_version") or ""), machine_of(run)
    versions = {str(entry.get("kdbench_version") or of_run[0]) for entry in entries}
    machines = {gpus_name(entry["gpus"]) if "gpus" in entry else of_run[1] for entry in entries}
    days = {str(entry.get("started") or run.record.get("created") or "")[:10] for entry in entries}
    known = sorted(day for day in days if day)
    if len(versions - {""}) > 1:
        yield f"mixed: its tasks were measured by kdbench {listed(sorted(versions - {''}))}"
    if len(machines - {""}) > 1:
        yield f"mixed: its tasks were measured on {listed(sorted(machines - {''}))}"
    if known and _days_apart(known[0], known[-1]) > 1:
        yield f"mixed: its tasks were measured from {known[0]} to {known[-1]}"
    for column in columns:
        results = [result for result in column.results(run) if result is not None]
        if len({result.version for result in results}) > 1:
            versions_of = sorted({result.version for result in results})
            yield f"mixed: {column.metric} of versions {listed(versions_of)}"
        if len({_is_old(result) for result in results if result.ci_low is not None}) > 1:
            yield f"mixed: intervals of {column.metric} by an earlier method and by today's"


def _is_old(result: MetricResult) -> bool:
    """Whether its interval is of before 2026-11-28, a bootstrap's, which has no standard error."""
    return result.standard_error is None


def _outdated(run: StoredRun, columns: Sequence["Column"]) -> Iterator[str]:
    """Where a task or metric has another version in this kdbench."""
    shown = dict.fromkeys(task for column in columns for task in column.tasks)
    for task in shown:
        result = run.result(task)
        recorded = result and result.fingerprint.get("task_version")
        if result is None or recorded is None or result.fingerprint.get("definition_sha256"):
            continue
        installed = _task_version(task)
        if installed is not None and str(recorded) != installed:
            yield f"stale: {task} of version {recorded}, and this kdbench has {installed}"
    for column in columns:
        for stored in column.results(run):
            version = _metric_version(column.metric)
            if stored and version and stored.version != version:
                yield (
                    f"stale: {column.metric} of version {stored.version}, and this kdbench has "
                    f"{version}"
                )


@cache
def _task_version(task: str) -> str | None:
    """The version of a task that comes with kdbench; None for others."""
    file = bundled("tasks") / task / f"{task}.yaml"
    if not re.fullmatch(r"\w+", task) or not file.is_file():
        return None
    found = _VERSION.search(file.read_text("utf-8"))
    return found[1] if found else None


@cache
def _metric_version(name: str) -> str | None:
    """The version of a metric that this kdbench has; None for a metric that it does not know."""
    base = base_of(name)
    if judged_metric(name) is not None or base not in metrics.names():
        return None
    return str(metrics.get(base).version)


def _checkpoint_differs(run: StoredRun) -> bool:
    """Whether the checkpoint's folder was written after the run and holds something else now."""
    from kdbench.checkpoint import find_checkpoint

    recorded = run.record["model"].get("sha256")
    folder = _model_folder(run)
    if recorded is None or folder is None:
        return False
    try:
        files = [file.stat() for file in folder.iterdir() if file.is_file()]
        began = datetime.fromisoformat(str(run.record.get("created"))).timestamp()
        if max((file.st_mtime for file in files), default=0) <= began:
            return False
        if sum(file.st_size for file in files) > _MOST_BYTES:
            return False
        return bool(find_checkpoint(str(folder)).sha256 != recorded)
    except (InputError, OSError, ValueError):
        return False


def _model_folder(run: StoredRun) -> Path | None:
    """The folder of a checkpoint that a recorded command names, if it is on this disk."""
    evaluations = [words for words in run.record.get("commands") or () if "eval" in words[:2]]
    models = [word[6:] for words in evaluations for word in words if word.startswith("model=")]
    folder = Path(models[-1]) if models else None
    if folder is None or not folder.is_dir() or (folder / "adapter_config.json").exists():
        return None
    return folder


def _days_apart(first: str, last: str) -> int:
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).days
    except ValueError:  # a foreign file
        return 0

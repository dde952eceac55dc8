"""A line on each stored run, for lists: read fast, and a broken run is a line as well."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.packs import PackedRun, packed_run
from kdbench.store.places import run_folders_in
from kdbench.store.run_schema import check_run
from kdbench.store.schema import FieldError
from kdbench.store.task_file import skim
from kdbench.system.files import check_schema, read_json
from kdbench.system.locks import is_held


@dataclass(frozen=True)
class RunSummary:
    """What a list shows of a run.

    Attributes:
        run: Folder relative to the results.
        model: Name of the model; empty for a broken run, as is the rest but the state.
        method: Label of the method; empty if it has none.
        protocol: Name of the protocol.
        tasks: Names of the tasks that are done.
        planned: Number of tasks that the run has begun.
        limit: Number of documents of each task; None for all.
        created: Time of the first sample, as in ISO 8601; empty if unknown.
        metric: Main metric of the tasks, if they share one; else empty.
        score: Its mean over the tasks; None if there is none.
        state: `complete`, `running` (a process here works on it), `partial` (tasks or samples are
            missing), `failed`, or why the run cannot be read.
    """

    run: str
    model: str = ""
    method: str = ""
    protocol: str = ""
    tasks: tuple[str, ...] = ()
    planned: int = 0
    limit: int | None = None
    created: str = ""
    metric: str = ""
    score: float | None = None
    state: str = "complete"


def summaries(results: Path, model: str | None = None) -> list[RunSummary]:
    """The runs of a folder of results, the newest first.

    Args:
        results: Folder of the results.
        model: Part of the names of the models or methods that count; None for all.
    """
    found = [summary(path, results) for path in run_folders_in(results)]
    shown = [one for one in found if one is not None and _is_of(one, model)]
    return sorted(shown, key=lambda one: (one.created, one.run), reverse=True)


def summary(folder: Path, results: Path) -> RunSummary | None:
    """The summary of a run; None for one that only serves other runs, as a teacher's extra seed.

    Args:
        folder: Folder of the run.
        results: Folder of the results.
    """
    run = folder.relative_to(results).as_posix() if folder.is_relative_to(results) else str(folder)
    try:
        packed = packed_run(folder)
        record = read_json(folder / "run.json") if packed is None else dict(packed.record)
        check_run(record)
        if record.get("auxiliary"):
            return None
        done = _done(folder) if packed is None else _packed(packed)
    except FieldError as fault:
        return RunSummary(run, state=f"broken: not the record of a run: {fault}")
    except (InputError, OSError) as error:
        return RunSummary(run, state=f"broken: {error}")
    metric, score = _main(done)
    complete = record["status"] == "complete" and set(record["tasks"]) <= set(done)
    return RunSummary(
        run,
        record["model"]["name"],
        record["method"] or "",
        record["protocol"]["name"],
        tuple(done),
        len({*record["tasks"], *done}),
        record["limit"],
        str(record.get("created") or ""),
        metric,
        score,
        _state(folder, str(record["status"]), complete),
    )


def _done(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What the results of a folder's tasks hold, their main metric at least."""
    return {
        file.stem: _main_part(file)
        for file in sorted(folder.glob("*.json"))
        if file.name != "run.json"
    }


def _packed(run: PackedRun) -> dict[str, Mapping[str, Any]]:
    return {task: run.tasks[task].content for task in sorted(run.tasks)}


def _main_part(file: Path) -> Mapping[str, Any]:
    """What a result holds, with its main metric alone if the file is laid out as usual."""
    try:
        skimmed = skim(file)
    except (ValueError, RecursionError):
        skimmed = None  # the whole names the place of the fault
    if skimmed is None or skimmed.main is None:
        return read_json(file)
    check_schema(file, skimmed.rest)
    return {**skimmed.rest, "metrics": {str(skimmed.rest["main_metric"]): skimmed.main}}


def _state(folder: Path, status: str, complete: bool) -> str:
    if complete or status == "failed":
        return status
    return "running" if is_held((folder / "samples").glob(".*.lock")) else "partial"


def _main(done: Mapping[str, Mapping[str, Any]]) -> tuple[str, float | None]:
    """The main metric of all tasks and its mean over them; none if tasks have different ones."""
    names = {str(content.get("main_metric")) for content in done.values()}
    if len(names) != 1:
        return "", None
    name = names.pop()
    values = [
        (content.get("metrics") or {}).get(name, {}).get("value") for content in done.values()
    ]
    known = [value for value in values if isinstance(value, int | float)]
    return name, sum(known) / len(known) if known and len(known) == len(values) else None


def _is_of(run: RunSummary, model: str | None) -> bool:
    names = (run.model, run.method, run.run)
    return model is None or any(model.casefold() in name.casefold() for name in names)

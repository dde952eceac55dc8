"""Packing runs: what a pack takes from a folder of results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdbench.errors import InputError
from kdbench.store.command import shareable
from kdbench.store.folder import RunFolder
from kdbench.store.packs import MARKS, PACK, Pack, PackedResult, PackedRun, pack_in, packed_run
from kdbench.store.places import run_folders_in
from kdbench.store.results import task_from
from kdbench.system.files import read_json, sha256_of_file

Kept = Literal["whole", "number", "none"]
"""What is kept of a metric: all, its mean but no numbers of documents, or nothing."""
MetricChoice = Callable[[str, str], Kept]
"""What is kept of a task's metric, both by name."""


@dataclass(frozen=True)
class GatheredPack:
    """A pack that is to be written.

    Attributes:
        pack: Its content.
        kept: The metrics in it, by name.
        found: The metrics that the runs have, from which it was chosen.
        unfinished: Folders of runs that are not complete, which it lacks.
    """

    pack: Pack
    kept: tuple[str, ...]
    found: tuple[str, ...]
    unfinished: tuple[str, ...]


def gather_pack(results: Path, choice: MetricChoice) -> GatheredPack:
    """Read the runs of a folder, those that are packed there already among them.

    The number of a task's main metric is always kept. Documents and curves stay with whole metrics,
    and judges stay if all their metrics do.

    Args:
        results: Folder of the results.
        choice: What is kept of each metric.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    runs: dict[str, PackedRun] = {}
    unfinished: list[str] = []
    seen, kept = set[str](), set[str]()

    def chosen(found: PackedResult) -> PackedResult:
        content = found.content
        task = str(content["fingerprint"]["task"])
        by_kind: dict[Kept, set[str]] = {"whole": set(), "number": set(), "none": set()}
        for name in content["metrics"]:
            by_kind[choice(task, name)].add(name)
        numbers = by_kind["number"] | ({content["main_metric"]} & by_kind["none"])
        seen.update(content["metrics"])
        kept.update(by_kind["whole"] | numbers)
        return PackedResult(_with_metrics(content, by_kind["whole"], numbers), found.sha256)

    for folder in run_folders_in(results):
        path = folder.relative_to(results).as_posix()
        run = packed_run(folder) or _read_run(folder)
        if run.record["status"] != "complete":
            unfinished.append(path)
            continue
        tasks, groups = (
            {name: chosen(result) for name, result in part.items()}
            for part in (run.tasks, run.groups)
        )
        runs[path] = PackedRun(path, run.record, tasks, groups)
    before = pack_in(results)
    marks = {} if before is None else dict(before.marks)
    marks |= {file.name: read_json(file) for file in sorted((results / MARKS).glob("*.json"))}
    known = {name: mark for name, mark in marks.items() if _run_of(mark) in runs}
    left_out = set(before.left_out if before and before.runs_without_folder(results) else ())
    left_out |= seen - kept
    pack = Pack(runs, known, tuple(sorted(left_out)))
    return GatheredPack(pack, tuple(sorted(kept)), tuple(sorted(seen)), tuple(unfinished))


def kept_in(pack: Pack | None) -> Mapping[tuple[str, str], Kept]:
    """What a pack has of each metric, by task and name."""
    runs = () if pack is None else pack.runs.values()
    kept: dict[tuple[str, str], Kept] = {}
    for result in (
        result for run in runs for part in (run.tasks, run.groups) for result in part.values()
    ):
        content = result.content
        judged = {name for way in content.get("judge", {}).values() for name in way["metrics"]}
        whole = {*content["documents"], *content.get("curves", {}), *judged}
        for name in content["metrics"]:
            place = (str(content["fingerprint"]["task"]), name)
            if name in whole:
                kept[place] = "whole"
            else:
                kept.setdefault(place, "number")
    return kept


def _run_of(mark: object) -> object:
    return mark.get("run") if isinstance(mark, dict) else None


def check_keeps(out: Path, pack: Pack, results: Path) -> None:
    """Check that a pack holds all that the one in its place has alone.

    Args:
        out: Folder of the pack.
        pack: The pack that is to be written.
        results: Folder of the results that it is made from.

    Raises:
        InputError: A run that has no folder would be lost, or some of its metrics.
    """
    before = pack_in(out)
    if before is None:
        return
    alone = {*before.runs_without_folder(out)} & {*before.runs_without_folder(results)}
    for path in sorted(alone):
        old, new = before.runs[path], pack.runs.get(path)
        if new is None:
            raise InputError(_would_lose(out, f"the run {path}"))
        for was, now in ((old.tasks, new.tasks), (old.groups, new.groups)):
            if lost := sorted({name for task in was for name in _lost(task, was, now)}):
                raise InputError(_would_lose(out, f"{', '.join(lost)} of {path}"))


def _lost(task: str, was: Mapping[str, PackedResult], now: Mapping[str, PackedResult]) -> set[str]:
    """The metrics of a result of which a new pack has less."""
    old = was[task].content
    if task not in now:
        return set(old["metrics"])
    parts = ("metrics", "documents", "curves")
    return {
        name
        for part in parts
        for name in old.get(part, {})
        if name in old["metrics"] and name not in now[task].content.get(part, {})
    }


def _would_lose(out: Path, what: str) -> str:
    return (
        f"{out / PACK}: {what} would be lost, since no folder has it; name another folder with "
        "out= or more metrics with metrics=, or delete the pack first"
    )


def _read_run(folder: Path) -> PackedRun:
    record = RunFolder(folder).read_whole_run()
    if commands := record.get("commands"):
        record = {**record, "commands": [shareable(words) for words in commands]}
    tasks = {
        file.stem: _read_result(file)
        for file in sorted(folder.glob("*.json"))
        if file.name != "run.json"
    }
    groups = {file.stem: _read_result(file) for file in sorted((folder / "groups").glob("*.json"))}
    return PackedRun("", record, tasks, groups)


def _read_result(file: Path) -> PackedResult:
    content, sha256 = read_json(file), sha256_of_file(file)
    task_from(content, file)  # so that nothing is packed that cannot be read
    return PackedResult(content, sha256)


def _with_metrics(content: Mapping[str, Any], whole: set[str], numbers: set[str]) -> dict[str, Any]:
    """A result with some of its metrics, and what belongs to these."""
    metrics = content["metrics"]
    others = metrics.keys() - whole  # documents have ids and categories too
    parts = {
        "metrics": {name: of for name, of in metrics.items() if name in whole | numbers},
        "documents": {name: of for name, of in content["documents"].items() if name not in others},
    }
    if "curves" in content:
        parts["curves"] = {name: of for name, of in content["curves"].items() if name in whole}
    if "judge" in content:
        parts["judge"] = {
            way: of for way, of in content["judge"].items() if not others & set(of["metrics"])
        }
    return {**content, **parts}


def check_packable(results: Path) -> None:
    """Check that a folder has runs.

    Raises:
        InputError: It does not exist, or has none.
    """
    if not results.is_dir():
        raise InputError(f"results={results}: no such folder")
    if not run_folders_in(results):
        raise InputError(f"results={results}: has no runs to pack")

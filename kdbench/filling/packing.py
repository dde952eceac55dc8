"""`kdbench pack`: the results of a filled table as one file that a repository can keep."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kdbench.config import TableSettings, build
from kdbench.config.pack import PackSettings
from kdbench.errors import InputError, nearest
from kdbench.filling.mechanisms import measure_column
from kdbench.filling.rows import plugins_of, spec_rows
from kdbench.filling.spec import TableSpec, read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.filling.tasks import shown_tasks
from kdbench.metrics import base_of
from kdbench.store.packing import (
    GatheredPack,
    Kept,
    MetricChoice,
    check_keeps,
    check_packable,
    gather_pack,
    kept_in,
)
from kdbench.store.packs import PACK, pack_in, write_pack
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.tables.column import Column
from kdbench.tables.columns import chosen_columns, plain_columns

_ALL = "all"


@dataclass(frozen=True)
class PackedTable:
    """A pack that was written.

    Attributes:
        file: The pack.
        size: Its bytes.
        runs: Number of runs in it.
        marks: Number of evaluations that `kdbench fill` finds done in it.
        metrics: Metrics that it keeps.
        left_out: Metrics that it leaves out.
        unfinished: Runs that it lacks, because they are not complete.
    """

    file: Path
    size: int
    runs: int
    marks: int
    metrics: tuple[str, ...]
    left_out: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def text(self) -> str:
        """What was packed, in lines."""
        lines = [
            f"{self.runs} runs and {self.marks} marks of evaluations packed into {self.file} "
            f"({self.size / 1e6:.2f} MB)",
            f"metrics: {', '.join(self.metrics)}",
        ]
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        if self.unfinished:
            lines.append(f"not complete, and left out: {', '.join(self.unfinished)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text


def pack(settings: PackSettings) -> PackedTable:
    """Pack the results of a table; their folders stay as they are.

    Args:
        settings: Settings of `kdbench pack`.

    Raises:
        InputError: There are no results, a file of them is wrong, or a metric is unknown.
    """
    spec, results = _place(settings)
    check_packable(results)
    out = settings.out or results
    if out.exists() and not out.is_dir():
        raise InputError(f"out={out}: is a file, and the pack is written into a folder")
    gathered = gather_pack(results, _choice(spec, settings, results, out))
    _check(settings.metrics, gathered, results)
    check_keeps(out, gathered.pack, results)
    size = write_pack(out / PACK, gathered.pack)
    return PackedTable(
        file=out / PACK,
        size=size,
        runs=len(gathered.pack.runs),
        marks=len(gathered.pack.marks),
        metrics=gathered.kept,
        left_out=gathered.pack.left_out,
        unfinished=gathered.unfinished,
    )


def _place(settings: PackSettings) -> tuple[TableSpec | None, Path]:
    """The table, if there is one, and the folder of its results."""
    if settings.table is None:
        if settings.results is None:
            raise InputError("results= is missing: name a table, or the folder of its results")
        return None, settings.results
    file = find_spec(settings.table)
    spec = read_spec(file)
    return spec, settings.results or spec.results or Path("results") / file.stem


def _choice(
    spec: TableSpec | None, settings: PackSettings, results: Path, out: Path
) -> MetricChoice:
    """What is kept: the metrics that the keys name.

    Else those of the table and of the pack that is replaced; all without a table.
    """
    runs = list(stored_runs(results))
    if settings.metrics or spec is None:
        mains = {result.main_metric for run in runs for result in run.results.values()}
        names = {*(settings.metrics or (_ALL,)), *mains}
        return lambda _, name: "whole" if names & {_ALL, name, base_of(name)} else "none"
    shown = _places(_columns(spec, results, runs))
    measured = _places(_measures(spec, settings, runs))
    before = kept_in(pack_in(out))

    def choose(task: str, name: str) -> Kept:
        kept = before.get((task, name), "none")
        if (task, name) in shown:
            return "whole"
        return "number" if kept == "none" and (task, name) in measured else kept

    return choose


def _places(columns: Iterable[Column]) -> set[tuple[str, str]]:
    """The tasks and metrics that columns read."""
    return {(task, column.metric) for column in columns for task in column.tasks}


def _columns(spec: TableSpec, results: Path, runs: Sequence[StoredRun]) -> tuple[Column, ...]:
    keys = {"tasks": shown_tasks(spec, runs), "columns": spec.columns, "results": results}
    table = build(TableSettings, keys)
    return chosen_columns(table, runs) if spec.columns else plain_columns(table, runs)


def _measures(
    spec: TableSpec, settings: PackSettings, runs: Sequence[StoredRun]
) -> Iterator[Column]:
    """What mechanisms are measured by, if some run has it."""
    for row in spec_rows(spec, plugins_of(settings.plugins)):
        mechanism = row.entry.mechanism or (None if row.method is None else row.method.mechanism)
        if row.entry.against is None or mechanism is None:
            continue
        # Without a run that has it, the table of mechanisms says so.
        with suppress(InputError):
            yield measure_column(mechanism.measure, spec, runs)


def _check(names: Sequence[str], gathered: GatheredPack, results: Path) -> None:
    """Refuse a metric that no run has.

    Raises:
        InputError: There is one.
    """
    known = {*gathered.found, *map(base_of, gathered.found)}
    for name in names:
        if name in {_ALL, *known}:
            continue
        if name in {part for left in gathered.pack.left_out for part in (left, base_of(left))}:
            raise InputError(
                f"metrics={name}: {results / PACK} was made without it; measure the models again"
            )
        raise InputError(f"metrics={name}: no run has it: {nearest(name, gathered.found)}")

"""The timings of a table's rows: those that are stored, and those that are made now, one by one."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from kdbench.analyses.budgeted.table import BudgetRow
from kdbench.config import FillSettings
from kdbench.distillation.recipe import Recipe
from kdbench.errors import InputError
from kdbench.filling.graph import Graph
from kdbench.filling.nodes import TrainNode, slug
from kdbench.filling.spec import TableSpec
from kdbench.filling.table import places_of
from kdbench.filling.work import prepare_libraries
from kdbench.filling.worlds import world_of
from kdbench.registry.plugins import load_plugins
from kdbench.store.timings import RowTiming, TrainingTiming, read_timings, write_timings
from kdbench.system.console import report_progress
from kdbench.system.locks import only_here
from kdbench.system.processes import Starter, end_with, this_process
from kdbench.system.threads import wait_passively, wanted_threads
from kdbench.version import __version__

_FOLDER = "timing"


@dataclass(frozen=True)
class Needed:
    """A row that is to be timed, and why its stored timing does not do.

    Attributes:
        row: The row.
        reason: Such as `not timed yet`.
    """

    row: BudgetRow
    reason: str


@dataclass(frozen=True)
class Bench:
    """The trainings of a table, ready to be timed.

    Attributes:
        recipes: Recipes of the rows by label, those of the first training seed.
        missing: What rows need that does not exist, by label.
        scratch: Folder for what timed trainings write.
    """

    recipes: Mapping[str, Recipe]
    missing: Mapping[str, str]
    scratch: Path


def needed_timings(
    rows: Sequence[BudgetRow], stored: Mapping[str, RowTiming], asked: int | None
) -> list[Needed]:
    """The rows whose stored timing does not do.

    Args:
        rows: Rows of the table.
        stored: Stored timings by label.
        asked: Steps to time, if they were asked for; None is content with what is stored.
    """
    found = []
    for row in rows:
        timing = stored.get(row.label)
        if timing is None:
            found.append(Needed(row, "not timed yet"))
        elif timing.keys != row.keys:
            found.append(Needed(row, "its keys have changed since it was timed"))
        elif asked is not None and timing.asked < asked:
            found.append(Needed(row, f"{timing.asked} steps were timed, and {asked} are asked for"))
    return found


def find_bench(spec: TableSpec, settings: FillSettings, file: Path) -> Bench:
    """Find the models and data of a table's trainings; none is loaded.

    Args:
        spec: Specification of the table.
        settings: Its folders.
        file: Its file.

    Raises:
        InputError: A model or the data do not exist.
    """
    world = world_of(spec)
    keys = {"device": settings.device, "plugins": settings.plugins}
    try:
        places = places_of(settings, spec, file.stem)
        graph = Graph(spec, places, {key: value for key, value in keys.items() if value})
    except InputError as error:
        if world is None or not world.missing():
            raise
        raise InputError(
            f"{error}; the table's world in {world.folder} is not whole: kdbench fill makes it"
        ) from None
    recipes, missing = dict[str, Recipe](), dict[str, str]()
    for node in graph.rows:
        if not isinstance(node, TrainNode) or node.row in recipes:
            continue
        recipes[node.row] = node.recipe
        lacks = [key for key in node.needs if not graph.nodes[key].is_done()]
        if lacks:
            missing[node.row] = (
                f"needs {', '.join(lacks)}, which kdbench fill … checkpoints=true makes"
            )
    return Bench(recipes, missing, places.models / _FOLDER)


def time_rows(
    needed: Sequence[Needed], bench: Bench, results: Path, steps: int
) -> tuple[dict[str, RowTiming], dict[str, str]]:
    """Time rows one after the other, each in a process of its own, and store each when it is done.

    Args:
        needed: The rows.
        bench: Their trainings.
        results: Folder of the table's results, where timings are stored.
        steps: Steps to time.

    Returns:
        All stored timings, and why rows could not be timed.

    Raises:
        InputError: Another process is timing, or stored timings are of another machine.
    """
    reasons = {one.row.label: _hindrance(one.row.label, bench) for one in needed}
    failed = {label: reason for label, reason in reasons.items() if reason is not None}
    rows = [one.row for one in needed if one.row.label not in failed]
    if not rows:  # no lock either, whose file would stay
        return read_timings(results), failed
    with _alone(bench.scratch):
        for number, row in enumerate(rows, start=1):
            report_progress(f"timing {row.label} alone, row {number} of {len(rows)}")
            reason = _time_row(row, bench, results, steps)
            if reason is not None:
                failed[row.label] = reason
    return read_timings(results), failed


def _hindrance(label: str, bench: Bench) -> str | None:
    """Why a row cannot be timed here, as far as that shows without its models."""
    from kdbench.distillation.timed import why_not

    return bench.missing.get(label) or why_not(bench.recipes[label])


def _time_row(row: BudgetRow, bench: Bench, results: Path, steps: int) -> str | None:
    """Time a row and store it; returns why it could not be timed."""
    folder = bench.scratch / slug(row.label)
    try:
        training = _in_own_process(bench.recipes[row.label], folder, steps)
    except InputError as error:
        return str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    stored = read_timings(results)
    check_one_machine({**stored, row.label: training}, results)
    today = datetime.now(UTC).date().isoformat()
    timing = RowTiming(
        keys=row.keys, date=today, kdbench_version=__version__, asked=steps, training=training
    )
    write_timings(results, {**stored, row.label: timing})
    return None


def check_one_machine(
    timings: Mapping[str, "RowTiming | TrainingTiming"], results: Path
) -> str | None:
    """Check that all timings are of one machine; returns its name.

    Raises:
        InputError: They are of several, and do not compare.
    """
    of = {
        label: timing.training if isinstance(timing, RowTiming) else timing
        for label, timing in timings.items()
    }
    machines: dict[str, str] = {}
    for label, timing in of.items():
        machines.setdefault(timing.machine, label)
    if len(machines) > 1:
        (first, one), (second, other) = list(machines.items())[:2]
        raise InputError(
            f"{results / 'timings.json'}: {one} was timed on {first}, {other} on {second}: times "
            "of two machines do not compare; delete the file to time all rows here"
        )
    return next(iter(machines), None)


@contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """Let one process time at a time, and remove what it leaves, or what one left that died."""
    busy = f"{scratch}: another kdbench process is timing here; wait until it has finished"
    with only_here(scratch.with_name(f".{_FOLDER}.lock"), busy):
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _in_own_process(recipe: Recipe, scratch: Path, steps: int) -> TrainingTiming:
    """Time a training in a new process, with all threads that this one may use.

    Raises:
        InputError: It cannot be timed, or its process died.
    """
    wait_passively()
    scratch.mkdir(parents=True, exist_ok=True)
    arguments = (this_process(), wanted_threads(), recipe.settings.plugins)
    with ProcessPoolExecutor(1, get_context("spawn"), _begin, arguments) as pool:
        try:
            return pool.submit(_time, recipe, scratch, steps).result()
        except BrokenProcessPool:
            raise InputError("its process died, possibly out of memory") from None


def _begin(starter: Starter, threads: int, plugins: Sequence[Path]) -> None:
    end_with(starter)
    load_plugins(plugins)
    prepare_libraries(threads)


def _time(recipe: Recipe, scratch: Path, steps: int) -> TrainingTiming:
    from kdbench.distillation.timed import time_training
    from kdbench.filling.logs import output_to

    with output_to(scratch / "log"):
        try:
            return time_training(recipe, scratch, steps)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails a row, the others are timed
            raise InputError(f"{type(error).__name__}: {error}".splitlines()[0]) from None

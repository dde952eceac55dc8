"""`kdbench frontier`: measure what is missing, compare the curves, store and draw them."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.config import FrontierSettings
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError, nearest_path
from kdbench.frontiers.conclude import conclude
from kdbench.frontiers.measure import MeasuredStudent, MeasuredTraining, check_metric, measured
from kdbench.frontiers.picture import THEMES, draw
from kdbench.frontiers.students import asked_students, check_changes, chosen_labels, find_baseline
from kdbench.frontiers.table import Frontier
from kdbench.store.frontiers import (
    FRONTIERS,
    WAY_OUT,
    FrontierStudent,
    read_frontier,
    temperature_key,
    write_frontier,
)
from kdbench.store.places import FRONTIER
from kdbench.system.files import put_bytes
from kdbench.system.outputs import put_output
from kdbench.system.remote.hooks import fetch_results, publishing, watch

_KEYS_OF_STORED = {
    *("results", "rows", "baseline", "metric", "temperatures", "format", "dry_run", "plugins"),
    *("storage_options", "work"),
}


def frontier(settings: FrontierSettings) -> Frontier:
    """Measure every student at every temperature, and compare the curves.

    Without a table or students, the stored runs are compared again; no model is needed then.

    Args:
        settings: Settings of `kdbench frontier`.

    Raises:
        InputError: Models, data, tasks or settings have a fault that the user can fix.
    """
    check_metric(settings)
    check_changes(settings)
    if settings.table is None and not settings.students:
        results = settings.results or Path("results")
        title, students = stored_students(settings, results)
    else:
        asked = asked_students(settings)
        title, results = asked.title, asked.results
        fetch_results(results / FRONTIERS)
        students = measured(settings, asked)
    folder = results / FRONTIERS
    record = conclude(title, students, settings.metric, folder)
    found = Frontier(record, folder)
    files = [folder / f"frontier-{theme}.svg" for theme in THEMES]
    with publishing():
        watch(folder / FRONTIER, folder / "FRONTIER.md", *files)
        for file, theme in zip(files, THEMES, strict=True):
            put_bytes(file, draw(record, theme))
        put_output(folder / "FRONTIER.md", found.render("md"))
        write_frontier(results, record)
    return found


def stored_students(settings: FrontierSettings, results: Path) -> tuple[str, list[MeasuredStudent]]:
    """The students of a frontier that was measured before, the baseline first, and its title.

    Args:
        settings: Settings without a table and students.
        results: Folder of the results.

    Raises:
        InputError: There is none, or a key asks for what would have to be measured.
    """
    for key in given_keys(settings):
        if key not in _KEYS_OF_STORED:
            raise InputError(
                f"{key}=: needs models to measure; name a table, or give students= with checkpoints"
            )
    if not results.is_dir():
        raise InputError(f"results={results}: no such folder{nearest_path(results)}")
    record = read_frontier(results)
    if record is None:
        raise InputError(
            f"results={results}: no frontier was measured; name a table, or give students= with "
            "checkpoints"
        )
    temperatures = record.temperatures
    if "temperatures" in given_keys(settings):
        for temperature in settings.temperatures:
            if temperature not in temperatures:
                raise InputError(f"temperatures={temperature:g}: was not measured")
        temperatures = list(settings.temperatures)
    labels = [student.label for student in record.students]
    baseline = find_baseline(settings.baseline, labels, record.baseline)
    by_label = {student.label: student for student in record.students}
    chosen = chosen_labels(settings.rows, baseline, labels)
    folder = results / FRONTIERS
    return record.title, [_stored(by_label[label], folder, temperatures) for label in chosen]


def _stored(
    student: FrontierStudent, folder: Path, temperatures: Sequence[float]
) -> MeasuredStudent:
    """A student of a stored frontier, at some of its temperatures.

    Raises:
        InputError: A run is not named.
    """
    trainings = []
    for trained in student.trainings:
        keys = {t: temperature_key(t) for t in temperatures}
        if missing := [key for key in keys.values() if key not in trained.runs]:
            raise InputError(
                f"{folder / FRONTIER}: damaged: no run of {trained.name} at temperature "
                f"{missing[0]}; {WAY_OUT}"
            )
        runs = {t: folder / trained.runs[key] for t, key in keys.items()}
        trainings.append(MeasuredTraining(trained.name, trained.seed, runs))
    return MeasuredStudent(student.label, tuple(trainings))

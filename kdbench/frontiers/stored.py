"""A frontier that was measured before: read, shown or compared again without any model."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.config import FrontierSettings
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError, nearest_path
from kdbench.frontiers.measure import MeasuredStudent, MeasuredTraining, check_name
from kdbench.frontiers.students import chosen_labels, find_baseline
from kdbench.frontiers.table import Frontier
from kdbench.store.frontiers import (
    FRONTIERS,
    WAY_OUT,
    FrontierRecord,
    FrontierStudent,
    read_frontier,
    temperature_key,
)
from kdbench.store.places import FRONTIER

_KEYS_OF_STORED = {
    *("results", "rows", "baseline", "metric", "temperatures", "format", "dry_run", "plugins"),
    *("storage_options", "work"),
}


def stored_frontier(settings: FrontierSettings, results: Path) -> FrontierRecord:
    """The frontier of a folder of results.

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
    return record


def has_runs(record: FrontierRecord, results: Path) -> bool:
    """Whether some run of a frontier is there; a repository keeps none.

    Args:
        record: The frontier.
        results: Folder of the results.
    """
    trainings = [training for student in record.students for training in student.trainings]
    runs = {run for training in trainings for run in training.runs.values()}
    return any((results / FRONTIERS / run).is_dir() for run in runs)


def as_stored(settings: FrontierSettings, record: FrontierRecord, results: Path) -> Frontier:
    """A frontier without its runs, which can be shown but not compared anew.

    Args:
        settings: Settings without a table and students.
        record: The frontier.
        results: Folder of the results.

    Raises:
        InputError: A key asks for another comparison.
    """
    folder, labels = results / FRONTIERS, [student.label for student in record.students]
    if settings.metric is not None and settings.metric != record.metric:
        check_name(settings.metric)
    baseline = find_baseline(settings.baseline, labels, record.baseline)
    chosen = chosen_labels(settings.rows, baseline, labels)
    others = {
        "rows": set(chosen) != set(labels),
        "temperatures": set(settings.temperatures) != set(record.temperatures),
        "metric": settings.metric != record.metric,
        "baseline": baseline != record.baseline,
    }
    for key, differs in others.items():
        if key in given_keys(settings) and differs:
            raise InputError(
                f"{key}=: {folder}: has the curves, but no runs to compare anew; leave {key}= out, "
                "or measure the students again"
            )
    return Frontier(record, folder)


def stored_students(
    settings: FrontierSettings, record: FrontierRecord, results: Path
) -> list[MeasuredStudent]:
    """The chosen students of a stored frontier, the baseline first.

    Args:
        settings: Settings without a table and students.
        record: The frontier.
        results: Folder of the results.

    Raises:
        InputError: A key asks for what would have to be measured.
    """
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
    return [_stored(by_label[label], folder, temperatures) for label in chosen]


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

"""Which students are compared: the rows of a table, checkpoints by path, or those stored before."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.checkpoint import check_checkpoint, find_checkpoint
from kdbench.config import FillSettings, FrontierSettings
from kdbench.config.judge import JudgeKeys
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError, nearest
from kdbench.filling.checkpoints import TableCheckpoints, table_checkpoints
from kdbench.measuring.given_card import with_given_card
from kdbench.measuring.identity import training_of
from kdbench.system.names import folder_name

_SFT = "SFT"


@dataclass(frozen=True)
class StudentCheckpoint:
    """One checkpoint of a student.

    Attributes:
        name: Name of the model in results.
        model: Folder of the checkpoint, or its name on the hub.
        seed: Training seed; None if it is unknown.
        card: File of its card, if another tool trained it.
    """

    name: str
    model: str
    seed: int | None
    card: Path | None = None


@dataclass(frozen=True)
class Student:
    """A student: one checkpoint, or those of one recipe with several training seeds."""

    label: str
    trainings: tuple[StudentCheckpoint, ...]


@dataclass(frozen=True)
class AskedStudents:
    """What is to be measured.

    Attributes:
        title: What the students are.
        students: The students, the baseline first.
        keys: Keys of every evaluation.
        results: Folder of the results.
    """

    title: str
    students: tuple[Student, ...]
    keys: Mapping[str, Any] = field(repr=False)
    results: Path

    @property
    def baseline(self) -> str:
        """Label of the student with which the others are compared."""
        return self.students[0].label


def check_changes(settings: FrontierSettings) -> None:
    """Check that keys with dots have a table's file that they change.

    Raises:
        InputError: There is no table.
    """
    if settings.table is None and settings.changes:
        key = next(iter(settings.changes))
        raise InputError(f"{key}=: a key with dots changes a table's file; name the table")


def asked_students(settings: FrontierSettings) -> AskedStudents:
    """Find the students and how they are measured; no model is loaded.

    Args:
        settings: Settings that name a table or students.

    Raises:
        InputError: A table or checkpoint is missing or wrong, or no baseline is known.
    """
    keys = _given_keys_of_eval(settings)
    if settings.table is None:
        results = settings.results or Path("results")
        students = _chosen(settings, _of_models(settings), None)
        return AskedStudents("students", students, keys, results)
    table = table_checkpoints(FillSettings(**{key: getattr(settings, key) for key in _OF_TABLE}))
    students = _chosen(settings, _of_table(table), table.undistilled)
    _check_trained(table, {student.label for student in students})
    keys = {
        "tasks": table.tasks,
        "data": table.data,
        **_keys_of_table(table),
        **keys,
        "setting": table.setting,
    }
    return AskedStudents(table.title, students, keys, table.results)


_OF_TABLE = (
    "table",
    "changes",
    "data",
    "models",
    "results",
    "plugins",
    "storage_options",
    "work",
)
_NOT_EVAL = {
    *(
        "table",
        "changes",
        "students",
        "models",
        "rows",
        "baseline",
        "temperatures",
        "metric",
        "format",
        "dry_run",
    ),
    *("results", "temperature", "work", "storage_options"),
}


def _given_keys_of_eval(settings: FrontierSettings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in given_keys(settings) if key not in _NOT_EVAL}


def _keys_of_table(table: TableCheckpoints) -> dict[str, Any]:
    """The keys of a table's evaluations that say how a student is sampled, on which prompts.

    Raises:
        InputError: The table measures its students in a way that a frontier cannot.
    """
    for key, only in (("backend", "hf"), ("quantization", None)):
        if table.evaluate.get(key, only) != only:
            raise InputError(
                f"{table.file}: evaluate: {key}: a frontier reads the model's own probabilities, "
                "with transformers and the weights as they are"
            )
    own = set(FrontierSettings.model_fields) - set(JudgeKeys.model_fields) - _NOT_EVAL
    return {key: value for key, value in table.evaluate.items() if key in own}


def _of_table(table: TableCheckpoints) -> list[Student]:
    by_row: dict[str, list[StudentCheckpoint]] = {}
    for row in table.rows:
        found = StudentCheckpoint(row.name, row.model, row.seed, row.card)
        by_row.setdefault(row.row, []).append(found)
    return [Student(label, tuple(trainings)) for label, trainings in by_row.items()]


def _check_trained(table: TableCheckpoints, labels: Set[str]) -> None:
    """Check that students are trained.

    Raises:
        InputError: One of them is not.
    """
    missing = [row.name for row in table.rows if row.row in labels and not row.exists]
    if missing:
        raise InputError(
            f"{table.file}: no checkpoint of {', '.join(missing)}; train them with kdbench fill … "
            "checkpoints=true, or choose other rows with rows="
        )


def _of_models(settings: FrontierSettings) -> list[Student]:
    """Checkpoints by path; those of one recipe with different training seeds are one student."""
    for model in settings.students:
        check_checkpoint(model, None, settings.unsafe_pickle, "students")
    groups: dict[object, list[StudentCheckpoint]] = {}
    labels: dict[object, str] = {}
    for model in settings.students:
        checkpoint = find_checkpoint(
            model, None, settings.unsafe_pickle, "students", settings.trust_remote_code
        )
        card = with_given_card(checkpoint, None).card
        training = training_of(card) or {}
        seed, recipe = training.get("seed"), training.get("recipe")
        label = str(card.get("method") or checkpoint.name)
        group = (label, recipe) if seed is not None and recipe is not None else model
        groups.setdefault(group, []).append(StudentCheckpoint(checkpoint.name, model, seed))
        labels[group] = label
    several = [label for label in labels.values() if list(labels.values()).count(label) > 1]
    students = [
        Student(trained[0].name if labels[group] in several else labels[group], tuple(trained))
        for group, trained in groups.items()
    ]
    names = [trained.name for student in students for trained in student.trainings]
    labels_now = [student.label for student in students]
    for name in (*labels_now, *names):
        if max(names.count(name), labels_now.count(name)) > 1:
            raise InputError(f"students=: two students are called '{name}'; rename a folder")
    return students


def _chosen(
    settings: FrontierSettings, students: Sequence[Student], undistilled: str | None
) -> tuple[Student, ...]:
    """The students to compare, the baseline first."""
    baseline = find_baseline(settings.baseline, [s.label for s in students], undistilled)
    chosen = chosen_labels(settings.rows, baseline, [s.label for s in students])
    for student in students:
        for trained in student.trainings:
            _check_name(trained.name)
    by_label = {student.label: student for student in students}
    return tuple(by_label[label] for label in chosen)


def _check_name(name: str) -> None:
    try:
        folder_name(name)
    except InputError as error:
        raise InputError(f"the student's name '{name}' {error}") from None


def find_baseline(given: str | None, labels: Iterable[str], undistilled: str | None) -> str:
    """The label of the baseline: the given one, the table's undistilled row, or SFT.

    Raises:
        InputError: No student has the label, or none is known to be the baseline.
    """
    known = list(labels)
    if given is not None:
        if given not in known:
            raise InputError(f"baseline={given}: {nearest(given, known)}")
        return given
    if undistilled in known:
        return str(undistilled)
    if _SFT in known:
        return _SFT
    raise InputError(
        f"baseline=: no student is called {_SFT}; name the one whose curve the others are compared "
        f"with: {', '.join(known)}"
    )


def chosen_labels(rows: Sequence[str], baseline: str, labels: Sequence[str]) -> list[str]:
    """The labels of the students to compare, the baseline first.

    Raises:
        InputError: No student has one of the labels, or there is nobody to compare.
    """
    for row in rows:
        if row not in labels:
            raise InputError(f"rows={row}: {nearest(row, labels)}")
    chosen = [baseline, *(label for label in (rows or labels) if label != baseline)]
    if len(chosen) < 2:
        where = f"rows={baseline}" if rows else f"baseline={baseline}"
        raise InputError(f"{where}: no student besides the baseline; name another")
    return chosen

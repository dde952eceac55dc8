"""The runs of a report: students of one teacher that answered the same prompts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kdbench.config import ReportSettings
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.reports.model import StudentRow
from kdbench.store.recipes import labels_of_trainings
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun, names_folder, stored_runs
from kdbench.text import printable


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Attributes:
        students: Students in order, the baseline first.
        results: Results by run and task, for the tasks of the report.
        tasks: Names of the tasks, in order.
        teacher: Name of the teacher.
        left_out: Runs that are left out, and why.
    """

    students: tuple[StudentRow, ...]
    results: Mapping[str, Mapping[str, TaskResult]] = field(repr=False)
    tasks: tuple[str, ...]
    teacher: str
    left_out: tuple[str, ...]

    def result(self, student: StudentRow, task: str) -> TaskResult | None:
        """The result of a student on a task, None if there is none."""
        return self.results[student.run].get(task)

    @property
    def baseline(self) -> StudentRow | None:
        """The student from which gains are measured."""
        return next((student for student in self.students if student.baseline), None)


def select(settings: ReportSettings, runs: Sequence[StoredRun] | None = None) -> Selection:
    """Select the runs of a report.

    Args:
        settings: What to show.
        runs: Runs to select from; None for all runs in `results=`.

    Raises:
        InputError: No student was compared with a teacher, or a task or the baseline is unknown.
    """
    if not settings.results.is_dir():
        raise InputError(
            f"results={settings.results}: no such folder{nearest_path(settings.results)}"
        )
    known = stored_runs(settings.results) if runs is None else runs
    compared = [run for run in known if _compared(run)]
    if not compared:
        raise InputError(
            f"results={settings.results}: no run was compared with a teacher; run kdbench eval "
            "model=… teacher=…"
        )
    known_tasks = {task for run in compared for task in _compared(run)}
    for task in settings.tasks:
        if task not in known_tasks:
            raise InputError(f"tasks={task}: {nearest(task, known_tasks)}")
    tasks = settings.tasks or tuple(sorted(known_tasks))
    runs = [run for run in compared if not run.is_own_teacher]
    runs = [run for run in runs if any(task in _compared(run) for task in tasks)]
    if not runs:
        raise InputError(
            f"results={settings.results}: only the teacher itself was compared with the teacher; "
            "run kdbench eval model=… teacher=… on a student"
        )
    baseline = find_baseline(settings.baseline, runs)
    groups = _groups(runs, tasks)
    shown = max(groups, key=lambda group: (any(run is baseline for run in group), len(group)))
    return _selection(shown, tasks, baseline, groups)


def _compared(run: StoredRun) -> dict[str, TaskResult]:
    """The results of a run that were compared with a teacher, by task."""
    return {task: result for task, result in run.results.items() if result.teacher}


def find_baseline(name: str | None, runs: Sequence[StoredRun]) -> StoredRun | None:
    """The run that `baseline=` names; None if it names none.

    Args:
        name: Folder of a run, name of a model, or label of a method.
        runs: Runs to choose from.

    Raises:
        InputError: No run has this name, or several have it.
    """
    if name is None:
        return None
    path = f"/{Path(name).as_posix()}"
    if whole := [run for run in runs if path.endswith(f"/{run.folder}")]:
        return max(whole, key=lambda run: len(run.folder))
    named = (
        [run for run in runs if run.model == name]
        or [run for run in runs if run.method == name]
        or [run for run in runs if names_folder(name, run.folder)]
    )
    if not named:
        known = {run.model for run in runs} | {run.method for run in runs if run.method}
        raise InputError(f"baseline={name}: {nearest(name, known)}")
    if len(named) > 1:
        raise InputError(
            f"baseline={name}: {len(named)} runs have this name: "
            f"{', '.join(run.folder for run in named)}; give one of these folders"
        )
    return named[0]


def _groups(runs: Sequence[StoredRun], tasks: Sequence[str]) -> list[list[StoredRun]]:
    """Groups of runs that have the same prompts of shared tasks and the same teacher."""
    groups: list[tuple[dict[str, str], list[StoredRun]]] = []
    for run in runs:
        identities = {
            task: json.dumps(
                [result.fingerprint, (result.teacher or {}).get("sha256")], sort_keys=True
            )
            for task, result in _compared(run).items()
            if task in tasks
        }
        matching = (
            (of_group, members)
            for of_group, members in groups
            if set(of_group) & set(identities)
            and all(
                of_group.get(task, identity) == identity for task, identity in identities.items()
            )
        )
        group = next(matching, None)
        if group is None:
            groups.append(group := ({}, []))
        group[0].update(identities)
        group[1].append(run)
    return [members for _, members in groups]


def _selection(
    shown: Sequence[StoredRun],
    tasks: Sequence[str],
    baseline: StoredRun | None,
    groups: Sequence[Sequence[StoredRun]],
) -> Selection:
    results = {
        run.folder: {task: result for task, result in _compared(run).items() if task in tasks}
        for run in shown
    }
    labels = labels_of_trainings(shown)
    students = [
        StudentRow(
            run=run.folder,
            label=one_line(labels[run.folder]),
            model=run.model,
            method=one_line(run.method or run.model),
            parameters=run.parameters,
            baseline=run is baseline,
        )
        for run in shown
    ]
    students.sort(key=lambda row: (not row.baseline, row.method, row.label, row.run))
    first = next(iter(results[students[0].run].values()))
    return Selection(
        students=tuple(_with_unique_labels(students)),
        results=results,
        tasks=tuple(task for task in tasks if any(task in by_task for by_task in results.values())),
        teacher=one_line(str((first.teacher or {}).get("name", "teacher"))),
        left_out=tuple(
            f"{run.folder}: different prompts, protocol or teacher from those shown ({len(shown)})"
            for group in groups
            if group is not shown
            for run in group
        ),
    )


def _with_unique_labels(students: Sequence[StudentRow]) -> list[StudentRow]:
    """The students; those that share a label get the end of their folder's name appended."""
    labels = [student.label for student in students]
    return [
        student
        if labels.count(student.label) == 1
        else replace(student, label=f"{student.label} {student.run[-8:]}")
        for student in students
    ]


def one_line(text: str) -> str:
    """The text as one line of visible characters."""
    return " ".join(printable(text).split())

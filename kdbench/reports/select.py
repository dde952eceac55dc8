"""Which runs enter a report: students of one teacher that answer the same prompts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdbench.config import ReportSettings
from kdbench.errors import InputError, nearest
from kdbench.reports.model import Student
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun, stored_runs


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Attributes:
        students: in order, the baseline first.
        results: of each student's run: its results by task, of the report's tasks.
        tasks: in order.
        teacher: its name.
        left_out: runs that do not enter, and why.
    """

    students: tuple[Student, ...]
    results: Mapping[str, Mapping[str, TaskResult]] = field(repr=False)
    tasks: tuple[str, ...]
    teacher: str
    left_out: tuple[str, ...]

    def of(self, student: Student, task: str) -> TaskResult | None:
        """A student's result of a task, None if there is none."""
        return self.results[student.run].get(task)

    @property
    def baseline(self) -> Student | None:
        """The student that gains are measured against."""
        return next((one for one in self.students if one.baseline), None)


def select(settings: ReportSettings) -> Selection:
    """The runs of a report.

    Raises:
        InputError: no student was measured beside a teacher, or an unknown task or baseline.
    """
    compared = [run for run in stored_runs(settings.results) if _compared(run)]
    if not compared:
        raise InputError(
            f"results={settings.results}: no run was measured beside a teacher; run kdbench eval "
            "model=… teacher=…"
        )
    found = {task for run in compared for task in _compared(run)}
    for task in settings.tasks:
        if task not in found:
            raise InputError(f"tasks={task}: {nearest(task, found)}")
    tasks = settings.tasks or tuple(sorted(found))
    runs = [run for run in compared if not run.is_own_teacher]
    runs = [run for run in runs if any(task in _compared(run) for task in tasks)]
    if not runs:
        raise InputError(
            f"results={settings.results}: no student was measured beside the teacher, only the "
            "teacher itself; run kdbench eval model=… teacher=…"
        )
    baseline = _baseline(settings.baseline, runs)
    groups = _groups(runs, tasks)
    kept = max(groups, key=lambda group: (any(run is baseline for run in group), len(group)))
    return _selection(kept, tasks, baseline, groups)


def _compared(run: StoredRun) -> dict[str, TaskResult]:
    """The results that stand beside a teacher's."""
    return {task: result for task, result in run.results.items() if result.teacher}


def _baseline(word: str | None, runs: Sequence[StoredRun]) -> StoredRun | None:
    if word is None:
        return None
    named = [run for run in runs if run.model == word] or [r for r in runs if r.method == word]
    if not named:
        known = {run.model for run in runs} | {run.method for run in runs if run.method}
        raise InputError(f"baseline={word}: {nearest(word, known)}")
    if len(named) > 1:
        raise InputError(
            f"baseline={word}: {len(named)} runs have this name: "
            f"{', '.join(run.folder for run in named)}; give the model's name of one, or another "
            "results="
        )
    return named[0]


def _groups(runs: Sequence[StoredRun], tasks: Sequence[str]) -> list[list[StoredRun]]:
    """Runs that answer the same prompts of shared tasks beside the same teacher."""
    groups: list[tuple[dict[str, str], list[StoredRun]]] = []
    for run in runs:
        same = {
            task: json.dumps([one.fingerprint, (one.teacher or {}).get("sha256")], sort_keys=True)
            for task, one in _compared(run).items()
            if task in tasks
        }
        fits = (
            group
            for group in groups
            if set(group[0]) & set(same)
            and all(group[0].get(task, what) == what for task, what in same.items())
        )
        group = next(fits, None)
        if group is None:
            groups.append(group := ({}, []))
        group[0].update(same)
        group[1].append(run)
    return [members for _, members in groups]


def _selection(
    kept: Sequence[StoredRun],
    tasks: Sequence[str],
    baseline: StoredRun | None,
    groups: Sequence[Sequence[StoredRun]],
) -> Selection:
    results = {
        run.folder: {task: one for task, one in _compared(run).items() if task in tasks}
        for run in kept
    }
    students = [
        Student(
            run=run.folder,
            label=_one_line(run.label),
            model=run.model,
            method=_one_line(run.method or run.model),
            parameters=run.parameters,
            baseline=run is baseline,
        )
        for run in kept
    ]
    students.sort(key=lambda one: (not one.baseline, one.method, one.label, one.run))
    first = next(iter(results[students[0].run].values()))
    return Selection(
        students=tuple(_told_apart(students)),
        results=results,
        tasks=tuple(task for task in tasks if any(task in one for one in results.values())),
        teacher=_one_line(str((first.teacher or {}).get("name", "teacher"))),
        left_out=tuple(
            f"{run.folder}: other prompts, protocol or teacher than the {len(kept)} runs shown"
            for group in groups
            if group is not kept
            for run in group
        ),
    )


def _told_apart(students: Sequence[Student]) -> list[Student]:
    """Two runs of one name get the end of their folders' names."""
    labels = [one.label for one in students]
    return [
        one if labels.count(one.label) == 1 else replace(one, label=f"{one.label} {one.run[-8:]}")
        for one in students
    ]


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

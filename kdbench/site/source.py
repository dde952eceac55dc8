"""What the pages read: runs, tasks, the baseline, and the figures against a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from kdbench.config import ReportSettings
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError, nearest
from kdbench.reports import Figures, find_figures
from kdbench.reports.select import find_baseline, one_line
from kdbench.store.folder import RunFolder
from kdbench.store.recipes import labels_of_trainings
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.tables.teachers import teacher_folders

_CHOICES = ("score", "fidelity", "level", "price", "load")


@dataclass(frozen=True)
class SiteSource:
    """The content of a results folder, as the pages of a site read it.

    Attributes:
        settings: What was asked for.
        runs: All runs with results, the baseline first, then students, then teachers.
        tasks: Names of the tasks to show, in order.
        baseline: The run that gains are relative to, if one was named.
        figures: Numbers of quality against fidelity; None if no run was compared with a teacher.
        why_no_figures: Why there are none, in one line; empty if there are.
    """

    settings: ReportSettings
    runs: tuple[StoredRun, ...] = field(repr=False)
    tasks: tuple[str, ...]
    baseline: StoredRun | None
    figures: Figures | None = None
    why_no_figures: str = ""

    @cached_property
    def students(self) -> list[StoredRun]:
        """The runs of students, the baseline first."""
        return [run for run in self.runs if run not in self.teachers]

    @cached_property
    def teachers(self) -> list[StoredRun]:
        """The runs of teachers with which others were compared."""
        folders = teacher_folders(self.runs)
        return [run for run in self.runs if run.is_own_teacher or run.folder in folders]

    @cached_property
    def labels(self) -> dict[str, str]:
        """A label for each run, by its folder; no two runs have the same."""
        labels = {
            folder: one_line(label) for folder, label in labels_of_trainings(self.runs).items()
        }
        texts = list(labels.values())
        return {
            folder: text if texts.count(text) == 1 else f"{text} {folder[-8:]}"
            for folder, text in labels.items()
        }

    def has_samples(self, run: StoredRun, task: str) -> bool:
        """Whether the responses of a run on a task are stored."""
        return RunFolder(self.settings.results / run.folder).lines(task).path.is_file()

    def run(self, folder: str) -> StoredRun | None:
        """The run in a folder, `model/run`; None if there is none."""
        return next((run for run in self.runs if run.folder == folder), None)


def read_source(settings: ReportSettings) -> SiteSource:
    """Read a results folder.

    Raises:
        InputError: The folder does not exist, holds no result or an unreadable one, or the
            baseline, a task or a metric that was asked for is unknown.
    """
    if not settings.results.is_dir():
        raise InputError(f"results={settings.results}: no such folder")
    runs = [run for run in stored_runs(settings.results) if run.results]
    if not runs:
        raise InputError(f"results={settings.results}: no results; run kdbench eval model=… data=…")
    measured = {task for run in runs for task in run.results}
    for task in settings.tasks:
        if task not in measured:
            raise InputError(f"tasks={task}: {nearest(task, measured)}")
    baseline = find_baseline(settings.baseline, [run for run in runs if not run.is_own_teacher])
    teachers = teacher_folders(runs)
    runs.sort(
        key=lambda run: (
            run.is_own_teacher or run.folder in teachers,
            run is not baseline,
            run.label,
            run.folder,
        )
    )
    figures, why = _figures(settings, runs, baseline)
    return SiteSource(
        settings,
        tuple(runs),
        settings.tasks or tuple(sorted(measured)),
        baseline,
        figures,
        why,
    )


def _figures(
    settings: ReportSettings, runs: Sequence[StoredRun], baseline: StoredRun | None
) -> tuple[Figures | None, str]:
    """The figures, or the reason why there are none.

    A choice of the user that cannot be drawn is an error, a default that cannot be is a reason.
    """
    compared = [run for run in runs if any(result.teacher for result in run.results.values())]
    students = [run for run in compared if not run.is_own_teacher]
    if not students:
        return None, "no student was compared with a teacher; run kdbench eval model=… teacher=…"
    tasks = tuple(task for task in settings.tasks if any(task in run.results for run in compared))
    if settings.tasks and not tasks:
        return None, "none of the tasks was compared with a teacher"
    left_out: tuple[str, ...] = ()
    if baseline is not None and baseline not in students:
        left_out = (f"gains: the baseline {baseline.folder} was not compared with a teacher",)
    changes = {
        "tasks": tasks,
        "baseline": None if left_out or baseline is None else baseline.folder,
    }
    try:
        figures = find_figures(settings.model_copy(update=changes), compared)
    except InputError as error:
        if any(key in given_keys(settings) for key in _CHOICES):
            raise
        return None, str(error)
    findings = figures.findings
    findings = replace(findings, left_out=(*findings.left_out, *left_out))
    return replace(figures, findings=findings), ""

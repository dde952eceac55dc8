"""Which runs of a table are those of teachers."""

from collections.abc import Sequence

from kdbench.store.runs import StoredRun


def teacher_folders(runs: Sequence[StoredRun]) -> frozenset[str]:
    """Find the teachers: checkpoints with which a run of the same setting was compared.

    A checkpoint is identified by its SHA-256; the labels of runs do not matter.

    Args:
        runs: Runs of the table.

    Returns:
        The folders of the teachers' runs.
    """
    teachers = {
        (run.record["setting"], result.teacher.get("sha256"))
        for run in runs
        for result in run.results.values()
        if result.teacher
    }
    return frozenset(
        run.folder
        for run in runs
        if (sha256 := run.record["model"].get("sha256")) is not None
        and (run.record["setting"], sha256) in teachers
    )


def teachers_of(run: StoredRun) -> set[str]:
    """The SHA-256 of the teachers with which a run was compared.

    Args:
        run: The run.
    """
    teachers = [result.teacher for result in run.results.values() if result.teacher]
    return {str(teacher["sha256"]) for teacher in teachers if teacher.get("sha256")}

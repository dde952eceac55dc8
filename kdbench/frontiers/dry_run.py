"""`kdbench frontier --dry-run`: who is measured at which temperatures, and what is missing."""

from pathlib import Path

from kdbench.config import FrontierSettings, given_facts
from kdbench.frontiers.measure import check_metric, works
from kdbench.frontiers.scores import read_scores
from kdbench.frontiers.stored import as_stored, has_runs, stored_frontier, stored_students
from kdbench.frontiers.students import asked_students, check_changes
from kdbench.measuring.measurement import prepare
from kdbench.store.frontiers import FRONTIERS
from kdbench.system.outline import Fact, Section
from kdbench.task import load_tasks
from kdbench.text import counted


def plan_frontier(settings: FrontierSettings) -> list[Section]:
    """What `frontier` would do: every check is made, no weights are loaded, nothing is written.

    Raises:
        InputError: As for `frontier`, but for what only a loaded model shows.
    """
    check_metric(settings)
    check_changes(settings)
    facts = list(given_facts(settings))
    title = "kdbench frontier: a dry run, which writes nothing"
    if settings.table is None and not settings.students:
        results = settings.results or Path("results")
        record = stored_frontier(settings, results)
        if has_runs(record, results):
            students = stored_students(settings, record, results)
            read_scores(students, settings.metric)
            labels, what = [student.label for student in students], "compares what is stored"
        else:
            as_stored(settings, record, results)
            labels, what = [student.label for student in record.students], "shows what is stored"
        facts += [Fact("students", ", ".join(labels)), Fact("measures", f"nothing: {what}")]
        return [Section(title, tuple(facts))]
    asked = asked_students(settings)
    todo = works(settings, asked)
    first = todo[0].settings
    tasks = load_tasks(first.tasks, first.data, first.limit, first.run_code)
    missing = {work.student: 0 for work in todo}
    for work in todo:
        measurement = prepare(work.settings, tasks=tasks)
        missing[work.student] += sum(map(measurement.sampling.missing, tasks))
    facts += [
        Fact("baseline", asked.baseline),
        Fact("tasks", " ".join(task.name for task in tasks)),
        Fact("temperatures", " ".join(f"{t:g}" for t in settings.temperatures)),
        Fact("runs in", str(asked.results / FRONTIERS)),
    ]
    counts = [
        Fact(
            student.label,
            f"{counted(len(student.trainings), 'checkpoint')}, {missing[student.label]} samples "
            "to generate",
        )
        for student in asked.students
    ]
    return [Section(title, tuple(facts)), Section("Students", tuple(counts))]

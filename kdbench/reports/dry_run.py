"""`kdbench report --dry-run`: which students a report shows, and which files it would write."""

from kdbench.config import ReportSettings, given_facts
from kdbench.reports.report import plan
from kdbench.system.outline import Fact, Section


def plan_report(settings: ReportSettings) -> list[Section]:
    """What `make_report` would draw and write; the numbers are computed, nothing is drawn.

    Raises:
        InputError: As for `make_report`.
    """
    findings, files = plan(settings)
    facts = [
        *given_facts(settings),
        Fact("teacher", findings.teacher),
        Fact("students", ", ".join(student.label for student in findings.students)),
        Fact("tasks", " ".join(findings.tasks)),
        Fact("score", findings.score.name),
        Fact("fidelity", findings.fidelity.name),
        *(Fact("left out", line) for line in findings.left_out),
        *(Fact("writes", str(file)) for file in files),
    ]
    return [Section("kdbench report: a dry run, which writes nothing", tuple(facts))]

"""`kdbench report --dry-run`: what a report shows, and which files it would write."""

from kdbench.config import ReportSettings, given_facts
from kdbench.site.source import read_source
from kdbench.system.outline import Fact, Section


def plan_report(settings: ReportSettings) -> list[Section]:
    """What `make_report` would show and write; the numbers are computed, nothing is drawn.

    Raises:
        InputError: As for `make_report`.
    """
    source = read_source(settings)
    facts = [
        *given_facts(settings),
        Fact("students", ", ".join(source.labels[run.folder] for run in source.students)),
        Fact("tasks", " ".join(source.tasks)),
    ]
    if source.figures is None:
        facts.append(Fact("figures", f"none: {source.why_no_figures}"))
    else:
        findings = source.figures.findings
        facts += [
            Fact("teacher", findings.teacher),
            Fact("score", findings.score.name),
            Fact("fidelity", findings.fidelity.name),
            *(Fact("left out", line) for line in findings.left_out),
            *(
                Fact("writes", str(settings.out / "figures" / name))
                for name in (() if settings.single_file else source.figures.files)
            ),
        ]
    what = "" if settings.single_file else ", static/ and data/ next to it"
    facts += [
        Fact("writes", str(settings.out / "report.json")),
        Fact("writes", f"{settings.out / 'index.html'}{what}"),
    ]
    return [Section("kdbench report: a dry run, which writes nothing", tuple(facts))]

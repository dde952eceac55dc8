"""The diagnosis as text for a terminal, and as JSON."""

from collections.abc import Iterator
from typing import Any

from kdbench.doctor.finding import Diagnosis, Finding, Level
from kdbench.doctor.settings import DoctorSettings


def lines(diagnosis: Diagnosis, settings: DoctorSettings) -> Iterator[str]:
    """Yield the text line by line; of a sound set-up, one line.

    Args:
        diagnosis: What was found.
        settings: Which sections are shown.
    """
    shown = {"row": settings.show_row, "memory": settings.show_memory}
    for name, section in diagnosis.sections.items():
        if shown.get(name):
            yield from [*section, ""]
    for check, finding in diagnosis.findings:
        yield from _finding_lines(check, finding)
    for check, reason in diagnosis.not_run.items():
        yield f"not checked  {check}: {reason}"
    if diagnosis.left_out:
        yield f"left out: {', '.join(sorted(diagnosis.left_out))}"
    yield _last_line(diagnosis)


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The whole diagnosis, ready for JSON."""
    return {
        "of": diagnosis.of,
        "errors": diagnosis.count("error"),
        "warnings": diagnosis.count("warning"),
        "findings": [finding.as_dict(check) for check, finding in diagnosis.findings],
        "checked": list(diagnosis.ran),
        "not_checked": dict(diagnosis.not_run),
        "left_out": sorted(diagnosis.left_out),
        "facts": dict(diagnosis.facts),
        "seconds": {name: round(value, 3) for name, value in diagnosis.seconds.items()},
    }


def _finding_lines(check: str, finding: Finding) -> Iterator[str]:
    yield f"{finding.level:<8} {check}: {finding.what}"
    yield f"    why: {finding.why}"
    if finding.fix:
        yield f"    fix: {finding.fix}"
    if finding.rows:
        yield f"    rows: {finding.rows_line()}"


def _last_line(diagnosis: Diagnosis) -> str:
    missed = len(diagnosis.not_run)
    not_checked = f", {missed} not checked" if missed else ""
    checked = f"{len(diagnosis.ran)} checks made{not_checked}"
    if not diagnosis.findings:
        return f"no findings ({checked})"
    errors, warnings = _count(diagnosis, "error"), _count(diagnosis, "warning")
    return f"{errors}, {warnings} ({checked})"


def _count(diagnosis: Diagnosis, level: Level) -> str:
    number = diagnosis.count(level)
    return f"{number} {level}{'' if number == 1 else 's'}"

"""The files of a report, and its correlations."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_report
from kdbench.cli.shown.printer import Printer
from kdbench.system.console import say

if TYPE_CHECKING:
    from kdbench.config import ReportSettings
    from kdbench.site import Report


def report_answer(settings: "ReportSettings", report: "Report") -> VerbAnswer:
    """The answer of `report`.

    Args:
        settings: Keys of the verb.
        report: What was written.
    """
    return VerbAnswer(
        partial(_show, report), partial(_document, report), following=after_report(settings)
    )


def _show(report: "Report") -> None:
    from kdbench.reports.correlations import correlation_line

    for file in report.named_files:
        say(str(file))
    printer = Printer()
    if report.findings is None:
        printer.notes([f"no figures: {report.why_no_findings}"])
        return
    printer.notes(f"left out: {line}" for line in report.findings.left_out)
    printer.notes(
        f"Spearman correlation of {correlation_line(correlation)}"
        for correlation in report.findings.correlations
    )


def _document(report: "Report") -> dict[str, Any]:
    if report.findings is None:
        return {"files": report.files, "no_figures": report.why_no_findings}
    return {
        "files": report.files,
        "left_out": report.findings.left_out,
        "correlations": [asdict(one) for one in report.findings.correlations],
    }

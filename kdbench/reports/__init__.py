"""The report: pictures and numbers of how good students are and how faithful to their teacher."""

from kdbench.reports.report import Report, make_report

__all__ = ["Report", "make_report"]

"""The report: how good students are beside how faithful they are, in pictures and numbers."""

from kdbench.reports.report import Report, make_report

__all__ = ["Report", "make_report"]

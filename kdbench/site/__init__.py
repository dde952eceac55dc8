"""The site: every result as pages that a browser opens from disk, without a network."""

from kdbench.site.report import Report, make_report

__all__ = ["Report", "make_report"]

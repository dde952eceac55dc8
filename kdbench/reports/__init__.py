"""The figures of a report: how good students are, how faithful to their teacher, and their cost."""

from kdbench.reports.figures import Figures, find_figures

__all__ = ["Figures", "find_figures"]

"""Analyses: questions of the literature, one file each, answered with a table and a figure.

`kdbench analyse NAME` trains and measures what an analysis needs, then concludes. The base class is
in `kdbench.analyses.core.analysis`.
"""

from kdbench.analyses.core.analysis import Analysis
from kdbench.registry import Registry

__all__ = ["Analysis", "analyses"]

analyses: Registry[type[Analysis]] = Registry("analysis", "kdbench.analyses", "kdbench.analyses")

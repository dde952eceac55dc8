"""Analyses: questions of the literature, one file each, answered with a table and a figure.

`kdbench analyse NAME` trains and measures what an analysis needs, then concludes. The base class is
in `kdbench.analyses.core.analysis`.
"""

from kdbench.analyses.core.analysis import Analysis
from kdbench.errors import InputError
from kdbench.registry import Registry

__all__ = ["Analysis", "analyses"]


def _check_kind(kind: type[Analysis]) -> None:
    """Check that a class says what its answer shows, before anything is trained for it."""
    if not (isinstance(kind, type) and issubclass(kind, Analysis)):
        raise InputError(f"{kind!r} is no analysis: derive it from kdbench.analyses.Analysis")
    for name in ("title", "question", "paper"):
        if not isinstance(getattr(kind, name, None), str):
            raise InputError(f"{kind.__name__}: {name}: is missing; it is a text")


analyses: Registry[type[Analysis]] = Registry(
    "analysis", "kdbench.analyses", "kdbench.analyses", _check_kind
)
"""All analyses by name."""

"""Generation: a backend turns rows, each a document's prompt and a seed, into samples."""

from kdbench.generate.backend import Backend
from kdbench.generate.values import (
    Facts,
    Options,
    Prompt,
    Row,
    Sample,
    ScoredText,
    TopScores,
)
from kdbench.registry import Registry

__all__ = [
    "Backend",
    "Facts",
    "Options",
    "Prompt",
    "Row",
    "Sample",
    "ScoredText",
    "TopScores",
    "backends",
]

backends: Registry[type[Backend]] = Registry("backend", "kdbench.generate", "kdbench.backends")

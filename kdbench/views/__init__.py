"""Named sources of scores on the same response tokens: what losses and fidelity metrics look at."""

from kdbench.views.rollout import Batch, Example, Origin, Rollout
from kdbench.views.view import ModelView, UniformView, View, bare_model, chunk_length

__all__ = [
    "Batch",
    "Example",
    "ModelView",
    "Origin",
    "Rollout",
    "UniformView",
    "View",
    "bare_model",
    "chunk_length",
]

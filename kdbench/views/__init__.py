"""Views: named models that score the same response tokens, for losses and fidelity metrics."""

from kdbench.views.rollout import Batch, Example, Origin, Rollout
from kdbench.views.texts import batches_by_length, reference_tokens
from kdbench.views.tokenizers import SharedTokens, common_vocabulary, shared_tokens, vocabulary_size
from kdbench.views.view import ModelView, UniformView, View, bare_model, chunk_length

__all__ = [
    "Batch",
    "Example",
    "ModelView",
    "Origin",
    "Rollout",
    "SharedTokens",
    "UniformView",
    "View",
    "bare_model",
    "batches_by_length",
    "chunk_length",
    "common_vocabulary",
    "reference_tokens",
    "shared_tokens",
    "vocabulary_size",
]

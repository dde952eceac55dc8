"""Metrics of the distributions that responses were sampled from: one forward pass over each."""

import math
from collections.abc import Iterator, Mapping, Sequence

from kdbench.errors import InputError
from kdbench.generate import Prompt
from kdbench.generate.row.choosing import sampling_log_probs
from kdbench.generate.row.ngram import SeenNGrams
from kdbench.measuring.forward_metrics import doing, stored_values, values_file
from kdbench.measuring.loading import LazyBackend
from kdbench.metrics import SamplingMetric
from kdbench.protocol import Protocol
from kdbench.store.folder import RunFolder
from kdbench.store.samples import Samples
from kdbench.system.progress import progress
from kdbench.task import Task
from kdbench.views import (
    Batch,
    ModelView,
    Rollout,
    batches_by_length,
    chunk_length,
    vocabulary_size,
)

_TENSORS = 4  # tensors of shape (chunk, V) that warping and a metric need where a loss needs one


def measure_sampling(
    metric: SamplingMetric,
    task: Task,
    run: RunFolder,
    backend: LazyBackend,
    protocol: Protocol,
    samples: Samples,
) -> dict[str, float]:
    """Measure the documents that have no stored value yet.

    Args:
        metric: Metric to measure.
        task: Task of the samples.
        run: Folder that keeps the values.
        backend: Backend that sampled; loaded only if a value is missing.
        protocol: Protocol of the samples.
        samples: A sample of each document and seed.

    Returns:
        All values by document; empty if the backend has no model, or the samples no tokens.

    Raises:
        InputError: Logits are not finite.
    """
    file = values_file(run, task.name, metric)
    values = stored_values(file)
    wanted = [document for document in task.documents if document.id not in values]
    if not wanted or not all(sample.tokens for sample in samples.values()):
        return values
    model, tokenizer = backend.get().model, backend.get().tokenizer
    if model is None:
        return {}
    view = ModelView(model, vocabulary_size(tokenizer))
    view.check()
    prompts, total = backend.prompts(task), len(task.documents)
    with (
        file.appending() as lines,
        progress(task.name, total, len(values), "documents", doing(run, metric)) as advance,
    ):
        for rows in _batches(task, prompts, samples, protocol):
            if all(row.id in values for row in rows):
                continue
            for document, value in _values(metric, view, protocol, rows).items():
                if document not in values:
                    lines.add({"id": document, "value": value})
                    advance()
            lines.sync()
    # Read back, so that values are rounded alike with and without a resume.
    return stored_values(file)


def _batches(
    task: Task, prompts: Mapping[str, Prompt], samples: Samples, protocol: Protocol
) -> list[list[Rollout]]:
    """All responses to a few documents at a time, which depends on the responses alone."""
    rows = [
        [
            Rollout(document.id, prompts[document.id].ids, samples[document.id, seed].tokens, "")
            for seed in protocol.seeds
        ]
        for document in task.documents
    ]
    lengths = [len(of_document) * max(map(_length, of_document)) for of_document in rows]
    return [
        [row for of_document in batch for row in of_document]
        for batch in batches_by_length(rows, lengths)
    ]


def _values(
    metric: SamplingMetric, view: ModelView, protocol: Protocol, rows: Sequence[Rollout]
) -> dict[str, float]:
    """The mean of each document over its responses, and over the tokens of each."""
    means: dict[str, list[float]] = {}
    for batch in batches_by_length(rows, list(map(_length, rows))):  # a document's may be many
        for row, mean in zip(batch, _means(metric, view, protocol, batch), strict=True):
            if not math.isfinite(mean):
                raise InputError(
                    f"the {metric.name} of document '{row.id}' is not finite: the model's weights "
                    "may be broken"
                )
            means.setdefault(row.id, []).append(mean)
    return {document: sum(of_rows) / len(of_rows) for document, of_rows in means.items()}


def _means(
    metric: SamplingMetric, view: ModelView, protocol: Protocol, rows: Sequence[Rollout]
) -> Iterator[float]:
    """The mean over the tokens of each response, in one forward pass."""
    import torch

    batch = Batch(rows, view.bare.device)
    banned = [tokens for row in rows for tokens in _banned(row, protocol)]
    values: list[torch.Tensor] = []
    with torch.inference_mode():
        states = view.states(batch)
        size = max(16, chunk_length(view.vocabulary, states.device) // _TENSORS)
        for start in range(0, len(states), size):
            here = enumerate(banned[start : start + size])
            pairs = [(position, token) for position, tokens in here for token in tokens]
            logits = view.logits(states[start : start + size])
            values.append(metric.values(sampling_log_probs(logits, protocol, pairs)).double().cpu())
    for of_row in torch.cat(values).split(batch.lengths):
        yield float(of_row.mean())


def _banned(row: Rollout, protocol: Protocol) -> Iterator[Sequence[int]]:
    """The tokens that each token of a response must not be."""
    seen = SeenNGrams(protocol.no_repeat_ngram_size, row.prompt_ids)
    for token in row.response_ids:
        yield tuple(seen.banned())
        seen.append(token)


def _length(row: Rollout) -> int:
    return len(row.prompt_ids) + len(row.response_ids)

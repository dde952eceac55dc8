"""Metrics that need a forward pass of the model over each document's reference."""

from typing import Any

from kdbench.errors import InputError
from kdbench.measuring.loading import LazyBackend
from kdbench.metrics import ForwardMetric, ModelMetric, Reference
from kdbench.store.folder import RunFolder
from kdbench.store.schema import is_number
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress
from kdbench.task import Task


def values_file(run: RunFolder, task: str, metric: ModelMetric) -> LinesFile:
    """Return the file that keeps a metric's value of each document."""
    return run.lines(f"{task}.{metric.name}-v{metric.version}")


def stored_values(file: LinesFile) -> dict[str, float]:
    """Return the values in such a file by document."""
    values: dict[str, Any] = {}
    for number, record in enumerate(file.read(), start=1):
        value = record.get("value")
        if not isinstance(record.get("id"), str) or not (value is None or is_number(value)):
            raise InputError(f"{file.path}:{number}: not a document's value; delete the file")
        values[record["id"]] = value
    return values


def doing(run: RunFolder, metric: ModelMetric) -> str:
    """What the progress of a measurement says."""
    return f"{run.path.parent.name} measuring {metric.name}"


def measure_forward(
    metric: ForwardMetric, task: Task, run: RunFolder, backend: LazyBackend, limit: int
) -> dict[str, float]:
    """Measure the documents that have no stored value yet.

    Args:
        metric: Metric to measure.
        task: Task with documents and references.
        run: Folder that keeps the values.
        backend: Backend whose model is measured; loaded only if a value is missing.
        limit: Maximal number of reference tokens.

    Returns:
        All values by document; empty if the backend has no model. A document without a reference
        has no value.
    """
    file = values_file(run, task.name, metric)
    values = stored_values(file)
    documents = [document for document in task.documents if document.references]
    if all(document.id in values for document in documents):
        return values
    model, tokenizer = backend.get().model, backend.get().tokenizer
    if model is None:
        return {}
    prompts = backend.prompts(task)
    references = [Reference(d.id, prompts[d.id].ids, d.references[0]) for d in documents]
    total, done = len(references), len(values)
    with (
        file.appending() as lines,
        progress(task.name, total, done, "documents", doing(run, metric)) as advance,
    ):
        for batch in metric.batches(tokenizer, references, limit):
            if all(reference.document in values for reference in batch):
                continue
            measured = metric.measure(model, tokenizer, batch, limit)
            for reference, value in zip(batch, measured, strict=True):
                if reference.document not in values:
                    lines.add({"id": reference.document, "value": value})
                    advance()
            lines.sync()
    # Read back, so that values are rounded alike with and without a resume.
    return stored_values(file)

"""What stays of an old result when its samples are scored again: the comparison with a teacher."""

from dataclasses import replace

from kdbench.metrics import compares_with_teacher
from kdbench.store.results import CATEGORY, TaskResult


def with_teacher_of(result: TaskResult, old: TaskResult | None) -> TaskResult:
    """Keep the comparison with a teacher in an old result of the same samples.

    Args:
        result: New result, without a comparison.
        old: Stored result; its comparison is kept if its fingerprint is the same.
    """
    if old is None or old.teacher is None or old.fingerprint != result.fingerprint:
        return result
    kept = {name: m for name, m in old.metrics.items() if compares_with_teacher(name)}
    columns = {name: old.documents[name] for name in kept if name in old.documents}
    return replace(
        result,
        metrics={**result.metrics, **kept},
        documents={**result.documents, **columns},
        teacher=old.teacher,
        curves=old.curves,
    )


def without_teacher(result: TaskResult) -> TaskResult:
    """Return a result without its comparison with a teacher."""
    return replace(
        result,
        metrics={n: m for n, m in result.metrics.items() if not compares_with_teacher(n)},
        documents={n: c for n, c in result.documents.items() if not compares_with_teacher(n)},
        teacher=None,
        curves={},
    )


def same_scores(old: TaskResult, new: TaskResult) -> bool:
    """Whether two results agree on the scores of all metrics of equal version."""
    return all(
        column == old.documents[name]
        for name, column in new.documents.items()
        if name in old.documents
        and (name in ("id", CATEGORY) or new.metrics[name].version == old.metrics[name].version)
    )

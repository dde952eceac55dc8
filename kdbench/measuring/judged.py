"""A judge's metrics in a result, which stay as long as the responses they judge."""

from collections.abc import Iterable
from dataclasses import replace

from kdbench.store.results import TaskResult


def with_judge_of(result: TaskResult, old: TaskResult | None) -> TaskResult:
    """Keep what a judge concluded in an old result of the same samples.

    Args:
        result: New result, without a judge's metrics.
        old: Stored result; its judge's metrics are kept if its fingerprint is the same.
    """
    if old is None or not old.judge or old.fingerprint != result.fingerprint:
        return result
    names = _metrics_of(old, old.judge)
    return replace(
        result,
        metrics={**result.metrics, **{n: m for n, m in old.metrics.items() if n in names}},
        documents={**result.documents, **{n: c for n, c in old.documents.items() if n in names}},
        judge=old.judge,
    )


def without_judge(result: TaskResult) -> TaskResult:
    """Return a result without a judge's metrics."""
    for name in result.judge:
        result = without_group(result, name)
    return result


def without_group(result: TaskResult, name: str) -> TaskResult:
    """Return a result without the metrics of one way of judging.

    Args:
        result: The result.
        name: Name of the way, a key of `judge`.
    """
    if name not in result.judge:
        return result
    names = _metrics_of(result, [name])
    return replace(
        result,
        metrics={n: m for n, m in result.metrics.items() if n not in names},
        documents={n: c for n, c in result.documents.items() if n not in names},
        judge={key: group for key, group in result.judge.items() if key != name},
    )


def _metrics_of(result: TaskResult, groups: Iterable[str]) -> set[str]:
    return {metric for name in groups for metric in result.judge[name]["metrics"]}

"""Metrics of all responses to a prompt: their scores, and the results with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from kdbench.metrics import Answer, PromptMetric
from kdbench.stats.estimates import mean_estimate
from kdbench.store.results import MetricResult

ScoresByName = dict[str, list[float | None]]
"""Scores by name of the result, `metric@k`, one a document in document order."""


def prompt_scores(
    metrics: Sequence[PromptMetric], answers: Mapping[int, Sequence[Answer]]
) -> ScoresByName:
    """Score the responses to each prompt.

    Args:
        metrics: Metrics with the k to measure.
        answers: Responses by seed and in document order.
    """
    by_prompt = list(zip(*answers.values(), strict=True))
    return {
        name: [metric.score(responses, k) for responses in by_prompt]
        for metric in metrics
        for name, k in zip(metric.result_names, metric.ks, strict=True)
    }


def prompt_results(
    metrics: Sequence[PromptMetric], scores: ScoresByName
) -> dict[str, MetricResult]:
    """Return the means over prompts with their intervals, by name of the result.

    They have no numbers of single seeds, since a score needs the responses of several.
    """
    return {name: _result(m, scores[name]) for m in metrics for name in m.result_names}


def _result(metric: PromptMetric, values: list[float | None]) -> MetricResult:
    return MetricResult(
        **asdict(mean_estimate(values, metric.unit)),
        unit=metric.unit,
        direction=metric.direction,
        version=str(metric.version),
        reason=None if any(value is not None for value in values) else metric.undefined,
    )

"""Samples become the result of a task: scores, means and their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kdbench.errors import InputError
from kdbench.measuring.main_metric import main_metric
from kdbench.measuring.notes import note_unseen_words
from kdbench.measuring.own_scores import SeedScores, YamlMetric, yaml_metrics
from kdbench.measuring.passes import score_corpora, score_documents
from kdbench.measuring.repeated import prompt_results
from kdbench.measuring.responses import (
    StoredResponses,
    answers_of,
    has_own_metrics,
    with_final_answers,
)
from kdbench.measuring.score_array import SampleScores, ScoresOfMetric
from kdbench.measuring.thinking import note_unclosed, with_thinking
from kdbench.metrics import CorpusMetric, Metric, ModelMetric, PromptMetric, SampleMetric
from kdbench.protocol import Protocol
from kdbench.stats.estimates import Estimate, corpus_estimate, document_means, estimate
from kdbench.store.results import CATEGORY, MetricResult, TaskResult
from kdbench.store.samples import Samples
from kdbench.task import NO_REFERENCES, Task

__all__ = [
    "answers_of",
    "category_column",
    "check_complete",
    "fingerprint",
    "origin",
    "score_task",
    "with_final_answers",
]


def fingerprint(task: Task, protocol: Protocol) -> dict[str, Any]:
    """Return what decides a number apart from the checkpoint; equal if two runs compare."""
    definition = {} if task.bundled else {"definition_sha256": task.definition_sha256}
    kind = {} if task.generates else {"output_type": task.output_type}
    return {
        **definition,
        **kind,
        "task": task.name,
        "task_version": task.version,
        "data_sha256": task.data["sha256"],
        "prompts_sha256": task.prompts_sha256,
        "protocol": protocol.as_dict(),
    }


def origin(task: Task, protocol: Protocol) -> dict[str, Any]:
    """Return what `run.json` records about a task's texts: the fingerprint and the stop strings.

    Stop strings of a bundled task are fixed by its version.
    """
    stops = {} if task.bundled else {"until": list(task.until)}
    return {**fingerprint(task, protocol), **stops}


def score_task(
    task: Task,
    protocol: Protocol,
    samples: Samples,
    metrics: Sequence[Metric],
    forward: Mapping[str, Mapping[str, float]],
    cut_prompts: int | None = None,
) -> tuple[TaskResult, SampleScores]:
    """Score all samples of a task.

    Args:
        task: Task with the documents to be answered.
        protocol: Protocol with the seeds to be present.
        samples: Samples by document and seed.
        metrics: Metrics to measure.
        forward: Values of forward metrics, by name and document.
        cut_prompts: Number of prompts that the protocol's limit cut; None if unknown.

    Returns:
        The result, and the scores of each sample.

    Raises:
        InputError: A sample is missing.
    """
    check_complete(task, protocol.seeds, samples)
    metrics = with_thinking(metrics, samples)
    note_unclosed(task.name, samples)
    responses = StoredResponses(task, protocol.seeds, samples)
    scored = score_documents(metrics, responses)
    scores: dict[str, ScoresOfMetric] = {}
    results: dict[str, MetricResult] = {}
    means: dict[str, Sequence[float | None]] = {}
    of_corpus = score_corpora(metrics, responses)
    for metric in metrics:
        if isinstance(metric, CorpusMetric):
            results[metric.name] = _result(metric, task, of_corpus[metric.name])
        elif isinstance(metric, SampleMetric):
            of_metric = scored.scores[metric.name]
            scores[metric.name], means[metric.name] = of_metric, of_metric.means()
            numbers = of_metric.estimate(metric.unit, means[metric.name])
            results[metric.name] = _result(metric, task, numbers)
        elif not isinstance(metric, PromptMetric):
            by_seed = _forward_scores(metric, task, forward)
            scores[metric.name], means[metric.name] = by_seed, document_means(by_seed)
            results[metric.name] = _result(metric, task, estimate(by_seed, metric.unit))
    if has_own_metrics(task):
        for yaml_metric in yaml_metrics(task, protocol.seeds, samples):
            results[yaml_metric.name] = _yaml_result(yaml_metric, len(task.documents))
            if yaml_metric.aggregates is None:
                scores[yaml_metric.name] = yaml_metric.scores
                means[yaml_metric.name] = document_means(yaml_metric.scores)
    if repeated := [metric for metric in metrics if isinstance(metric, PromptMetric)]:
        results |= prompt_results(repeated, scored.columns)
    note_unseen_words(task, results)
    ids = [document.id for document in task.documents]
    result = TaskResult(
        fingerprint=fingerprint(task, protocol),
        metrics=results,
        documents={"id": ids, **category_column(task), **means, **scored.columns},
        data=task.data,
        cut_prompts=cut_prompts,
        main_metric=main_metric(results, task.own_metrics),
    )
    return result, SampleScores(ids, protocol.seeds, scores)


def check_complete(task: Task, seeds: Sequence[int], samples: Samples) -> None:
    """Check that every document has a sample of every seed.

    Raises:
        InputError: Samples are missing; the message names the first.
    """
    missing = [
        (document.id, seed)
        for document in task.documents
        for seed in seeds
        if (document.id, seed) not in samples
    ]
    if missing:
        document_id, seed = missing[0]
        raise InputError(
            f"task '{task.name}': {len(missing)} of {len(task.documents) * len(seeds)} samples are "
            f"missing, the first for document '{document_id}', seed {seed}"
        )


def category_column(task: Task) -> dict[str, list[str | None]]:
    """The column of the documents' categories, if any document has one."""
    categories = [document.category for document in task.documents]
    return {CATEGORY: categories} if any(categories) else {}


def _yaml_result(metric: YamlMetric, documents: int) -> MetricResult:
    """Return the mean with its interval, or the YAML's own aggregate, which has none."""
    if metric.aggregates is None:
        numbers = estimate(metric.scores, "task's own")
    else:
        numbers = corpus_estimate(metric.aggregates, documents)
    return MetricResult(
        **asdict(numbers),
        unit="task's own",
        direction=metric.direction,
        version="lm-eval",
        reason=None if numbers.value is not None else "its aggregation gives no number",
    )


def _forward_scores(
    metric: Metric, task: Task, forward: Mapping[str, Mapping[str, float]]
) -> SeedScores:
    """The values of a forward metric, which has no seeds.

    Raises:
        InputError: The metric is of another kind, which kdbench cannot score.
    """
    if isinstance(metric, ModelMetric):
        values = forward.get(metric.name, {})
        return {0: [values.get(document.id) for document in task.documents]}
    base = type(metric).__mro__[1].__name__
    raise InputError(
        f"metric '{metric.name}': kdbench cannot score a subclass of {base}; "
        "derive it from SampleMetric, CorpusMetric or ForwardMetric"
    )


def _result(metric: Metric, task: Task, numbers: Estimate) -> MetricResult:
    fields = asdict(numbers)
    undefined = metric.undefined if isinstance(metric, SampleMetric) else SampleMetric.undefined
    reason = None if numbers.value is not None else undefined
    if isinstance(metric, ModelMetric):
        fields["per_seed"] = {}  # a forward metric has no seeds
        reason = reason and "needs the model"
    if reason and metric.needs_reference and not task.has_references:
        reason = NO_REFERENCES
    return MetricResult(
        **fields,
        unit=metric.unit,
        direction=metric.direction,
        version=str(metric.version),
        reason=reason,
    )

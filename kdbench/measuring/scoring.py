"""Samples become the result of a task: scores, means and their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.measuring.main_metric import main_metric
from kdbench.measuring.notes import note_unseen_words
from kdbench.measuring.own_scores import (
    SeedScores,
    YamlMetric,
    final_answers,
    yaml_metrics,
)
from kdbench.measuring.repeated import prompt_results, prompt_scores
from kdbench.measuring.thinking import note_unclosed, with_thinking
from kdbench.metrics import (
    Answer,
    CorpusMetric,
    ForwardMetric,
    Metric,
    PromptMetric,
    SampleMetric,
)
from kdbench.metrics.exact_match import ExactMatch
from kdbench.protocol import Protocol, postprocess
from kdbench.stats.estimates import Estimate, corpus_estimate, document_means, estimate
from kdbench.store.results import CATEGORY, MetricResult, TaskResult
from kdbench.store.samples import Samples
from kdbench.task import NO_REFERENCES, Task

SampleScores = dict[tuple[str, int], dict[str, float | None]]
"""The scores of each sample by metric, by document and seed."""


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
    answers = answers_of(task, protocol.seeds, samples)
    scores: dict[str, SeedScores] = {}
    results: dict[str, MetricResult] = {}
    for metric in metrics:
        if isinstance(metric, PromptMetric):
            continue
        if isinstance(metric, CorpusMetric):
            results[metric.name] = _result(metric, task, _of_corpus(metric, answers))
            continue
        by_seed = _scores(metric, task, answers, forward)
        results[metric.name] = _result(metric, task, estimate(by_seed, metric.unit))
        scores[metric.name] = by_seed
    if _has_own_metrics(task):
        for yaml_metric in yaml_metrics(task, protocol.seeds, samples):
            results[yaml_metric.name] = _yaml_result(yaml_metric, len(task.documents))
            if yaml_metric.aggregates is None:
                scores[yaml_metric.name] = yaml_metric.scores
    columns: dict[str, list[float | None]] = {}
    if repeated := [metric for metric in metrics if isinstance(metric, PromptMetric)]:
        columns = prompt_scores(repeated, with_final_answers(task, samples, answers))
        results |= prompt_results(repeated, columns)
    note_unseen_words(task, results)
    return _assemble(task, protocol, results, scores, columns, cut_prompts)


def answers_of(task: Task, seeds: Sequence[int], samples: Samples) -> dict[int, list[Answer]]:
    """Return the responses as metrics take them, by seed and in document order."""
    thinks = any(sample.knows_thinking for sample in samples.values())
    return {
        seed: [
            _answer(samples[document.id, seed], document.references, thinks)
            for document in task.documents
        ]
        for seed in seeds
    }


def with_final_answers(
    task: Task, samples: Samples, answers: Mapping[int, Sequence[Answer]]
) -> dict[int, list[Answer]]:
    """Add final answers, and whether they are right, to the responses of closed tasks.

    If a YAML of lm-eval scores exact match, its first filter extracts the final answer. If its
    metadata has `closed_answers: true`, the whole response is the answer, and is right if it equals
    a reference. Free-form tasks have neither, and their responses stay as they are.

    Args:
        task: Task of the responses.
        samples: Samples by document and seed.
        answers: The same responses as metrics take them, by seed and in document order.
    """
    extracted = final_answers(task, list(answers), samples) if _has_own_metrics(task) else {}
    if extracted:
        return {
            seed: [
                replace(response, final=final, right=right)
                for response, (final, right) in zip(responses, extracted[seed], strict=True)
            ]
            for seed, responses in answers.items()
        }
    if task.closed_answers:
        return {seed: [_closed(r) for r in responses] for seed, responses in answers.items()}
    return {seed: list(responses) for seed, responses in answers.items()}


def _has_own_metrics(task: Task) -> bool:
    """Whether a YAML defines metrics of its own; lm-eval's compare with references."""
    if task.bundled or task.lm_eval is None:
        return False
    return task.has_references or task.lm_eval.config.process_results is not None


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


def _assemble(
    task: Task,
    protocol: Protocol,
    results: Mapping[str, MetricResult],
    scores: Mapping[str, SeedScores],
    columns: Mapping[str, list[float | None]],
    cut_prompts: int | None,
) -> tuple[TaskResult, SampleScores]:
    ids = [document.id for document in task.documents]
    means = {name: document_means(by_seed) for name, by_seed in scores.items()}
    result = TaskResult(
        fingerprint=fingerprint(task, protocol),
        metrics=results,
        documents={"id": ids, **category_column(task), **means, **columns},
        data=task.data,
        cut_prompts=cut_prompts,
        main_metric=main_metric(results, task.own_metrics),
    )
    by_sample = {
        (document, seed): {
            name: by_seed[seed][index] for name, by_seed in scores.items() if seed in by_seed
        }
        for index, document in enumerate(ids)
        for seed in protocol.seeds
    }
    return result, by_sample


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


def _answer(sample: Sample, references: tuple[str, ...], thinks: bool) -> Answer:
    return Answer(
        postprocess(sample.answer),
        references,
        sample.n_tokens,
        sample.finish,
        sample.tokens or None,
        n_thinking_tokens=sample.n_thinking_tokens,
        unclosed=sample.unclosed if thinks else None,
    )


def _closed(response: Answer) -> Answer:
    right = bool(response.text and ExactMatch().score(response))
    return replace(response, final=response.text or None, right=right)


def _scores(
    metric: Metric,
    task: Task,
    answers: Mapping[int, Sequence[Answer]],
    forward: Mapping[str, Mapping[str, float]],
) -> SeedScores:
    if isinstance(metric, ForwardMetric):
        values = forward.get(metric.name, {})
        return {0: [values.get(document.id) for document in task.documents]}
    if isinstance(metric, SampleMetric):
        return {
            seed: [metric.score(r) if metric.counts(r) else None for r in responses]
            for seed, responses in answers.items()
        }
    base = type(metric).__mro__[1].__name__
    raise InputError(
        f"metric '{metric.name}': kdbench cannot score a subclass of {base}; "
        "derive it from SampleMetric, CorpusMetric or ForwardMetric"
    )


def _of_corpus(metric: CorpusMetric, answers: Mapping[int, Sequence[Answer]]) -> Estimate:
    counted = {s: [a for a in given if metric.counts(a)] for s, given in answers.items()}
    values = {seed: metric.value(given) if given else None for seed, given in counted.items()}
    return corpus_estimate(values, len(next(iter(counted.values()))))


def _result(metric: Metric, task: Task, numbers: Estimate) -> MetricResult:
    fields = asdict(numbers)
    undefined = metric.undefined if isinstance(metric, SampleMetric) else SampleMetric.undefined
    reason = None if numbers.value is not None else undefined
    if isinstance(metric, ForwardMetric):
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

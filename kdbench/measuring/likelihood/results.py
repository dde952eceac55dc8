"""Options become the result of a task: lm-eval scores each document and aggregates."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.measuring.likelihood.answers import OptionAnswer, OptionAnswers
from kdbench.measuring.likelihood.final import final_answer
from kdbench.measuring.own_scores import YamlMetric, yaml_metric
from kdbench.measuring.scoring import category_column, fingerprint
from kdbench.metrics import OptionMetric, make_option_metrics
from kdbench.protocol import Protocol
from kdbench.stats.estimates import corpus_estimate, estimate, pooled_estimate
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.schema import LARGEST
from kdbench.system.time_limit import time_limit
from kdbench.task import Task

OptionScores = dict[str, dict[str, float | None]]
"""Scores by metric, by document."""

_SECONDS = 300  # of work, for all documents and filters
_RATES = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "f1", "brier_score"}
_UNITS = {"bits_per_byte": "bits"} | dict.fromkeys(_RATES, "rate")


def score_options(
    task: Task, protocol: Protocol, answers: OptionAnswers, cut_prompts: int | None = None
) -> tuple[TaskResult, OptionScores]:
    """Score the options of all documents of a task.

    Args:
        task: Task that is scored by likelihood.
        protocol: Protocol of the run.
        answers: An answer of each document.
        cut_prompts: Number of documents of which the model's length cut a text; None if unknown.

    Returns:
        The result, and the scores of each document that are numbers.

    Raises:
        InputError: A filter, scoring function or aggregation of the task fails.
    """
    ids = [document.id for document in task.documents]
    values = _values(task, [answers[document] for document in ids])
    results: dict[str, MetricResult] = {}
    columns: dict[str, list[float | None]] = {}
    for (metric, filter_name), by_row in values.items():
        scored = yaml_metric(task, metric, filter_name, {0: by_row})
        results[scored.name] = _result(metric, scored, len(ids))
        if scored.aggregates is None:
            columns[scored.name] = scored.scores[0]
    for option_metric in option_metrics(task):
        results[option_metric.name] = _pooled(option_metric, task, answers)
    result = TaskResult(
        fingerprint=fingerprint(task, protocol),
        metrics=results,
        documents={"id": ids, **category_column(task), **columns},
        data=task.data,
        cut_prompts=cut_prompts,
        main_metric=next(iter(results)),
    )
    scores = {
        document: {name: column[row] for name, column in columns.items()}
        for row, document in enumerate(ids)
    }
    return result, scores


def option_metrics(task: Task) -> list[OptionMetric]:
    """Return the metrics of options that a task has besides lm-eval's."""
    return make_option_metrics() if task.output_type == "multiple_choice" else []


def _pooled(metric: OptionMetric, task: Task, answers: OptionAnswers) -> MetricResult:
    import numpy as np

    sums = [metric.sums(final_answer(task, answers[d.id])) for d in task.documents]
    numbers = pooled_estimate({0: np.array(sums, dtype=float)}, metric.value, unit=metric.unit)
    return MetricResult(
        **asdict(replace(numbers, per_seed={}, seed_sd=None)),
        unit=metric.unit,
        direction=metric.direction,
        version=str(metric.version),
        reason=None if numbers.value is not None else "no document says which option is right",
    )


def _values(task: Task, answers: Sequence[OptionAnswer]) -> dict[tuple[str, str], dict[int, Any]]:
    """Return what lm-eval scores each document, by metric and filter; the task's first first."""
    import numpy as np
    from lm_eval.api.instance import Instance

    lm_eval_task = task.lm_eval
    instances = [
        [Instance(task.output_type, document.fields, (), idx, resps=[response])
         for idx, response in enumerate(_responses(answer))]
        for document, answer in zip(task.documents, answers, strict=True)
    ]  # fmt: skip
    found: dict[tuple[str, str], dict[int, Any]] = {}
    try:
        # lm-eval divides by the length of an option, which may be empty.
        with time_limit(_SECONDS, working=True), np.errstate(divide="ignore", invalid="ignore"):
            for ensemble in lm_eval_task._filters:
                ensemble.apply([instance for of_document in instances for instance in of_document])
            for name in instances[0][0].filtered_resps:
                for row, (document, own) in enumerate(zip(task.documents, instances, strict=True)):
                    responses = [instance.filtered_resps[name] for instance in own]
                    scores = lm_eval_task.process_results(document.fields, responses)
                    for metric, value in scores.items():
                        found.setdefault((metric, name), {})[row] = value
    except Exception as error:
        raise InputError(f"task '{task.name}': its scoring fails: {reason_of(error)}") from error
    if not found:
        raise InputError(f"task '{task.name}': its process_results returns no scores")
    listed = [metric.get("metric") for metric in lm_eval_task.config.metric_list or ()]
    order = {metric: place for place, metric in enumerate(listed) if isinstance(metric, str)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0][0], len(order))))


def _responses(answer: OptionAnswer) -> list[Any]:
    """Return an answer as lm-eval's models give it."""
    if answer.options[0].greedy is None:
        return [option.log_p for option in answer.options]
    asked: list[Any] = [(option.log_p, option.greedy) for option in answer.options]
    return asked + [(log_p, False) for log_p in answer.unconditional]


def _result(metric: str, scored: YamlMetric, documents: int) -> MetricResult:
    """Return the mean with its interval over documents, or the task's own aggregate without."""
    if scored.aggregates is None:
        numbers = estimate(scored.scores, "task's own")
    else:
        numbers = corpus_estimate(scored.aggregates, documents)
    numbers = replace(numbers, per_seed={}, seed_sd=None)  # options have no seeds
    reason = "its aggregation gives no number"
    if numbers.value is not None and abs(numbers.value) > LARGEST:  # a perplexity of a bad model
        reason = f"{numbers.value:.3g} is too large to store"
        numbers = replace(numbers, value=None)
    return MetricResult(
        **asdict(numbers),
        unit=unit_of(metric),
        direction=scored.direction,
        version="lm-eval",
        reason=None if numbers.value is not None else reason,
    )


def unit_of(metric: str) -> str:
    """Return the unit of a metric of lm-eval."""
    return "perplexity" if metric.endswith("perplexity") else _UNITS.get(metric, "task's own")

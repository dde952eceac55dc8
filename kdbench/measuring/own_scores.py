"""The metrics that a task's YAML defines, computed by lm-eval after the YAML's filters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.store.samples import Samples
from kdbench.system.time_limit import time_limit
from kdbench.task import Document, Task

SeedScores = dict[int, list[float | None]]
"""Scores by seed, in document order."""

_SECONDS = 300  # of work, for one response
_NO_ANSWER = "[invalid]"  # what lm-eval's filters return if they find no answer
_DEFAULT_FILTER = {"name": "none", "filter": [{"function": "take_first"}]}  # as in lm-eval


@dataclass(frozen=True)
class YamlMetric:
    """A metric of the YAML after one of its filters.

    Attributes:
        name: `metric,filter`, as lm-eval prints it.
        scores: Scores by seed, in document order.
        direction: `higher` or `lower`, whichever is better.
        aggregates: The YAML's aggregate of each seed; None if it is the mean of the scores.
    """

    name: str
    scores: SeedScores
    direction: str
    aggregates: Mapping[int, float | None] | None = None


@dataclass(frozen=True)
class _Filtered:
    """What one filter makes of one response.

    Attributes:
        filter: Name of the filter.
        row: Index of the document.
        response: The filtered response.
        scores: The YAML's scores of it, by metric.
    """

    filter: str
    row: int
    response: Any
    scores: Mapping[str, Any]


def yaml_metrics(task: Task, seeds: Sequence[int], samples: Samples) -> list[YamlMetric]:
    """Score samples by the metrics of the YAML.

    Args:
        task: Task whose YAML is not one of kdbench's own.
        seeds: Seeds of the samples.
        samples: A sample of each document and seed.

    Raises:
        InputError: A filter, scoring function or aggregation of the YAML fails.
    """
    # By metric and filter, then by seed: what each document that has the metric scores.
    collected: dict[tuple[str, str], dict[int, dict[int, Any]]] = {}
    for seed in seeds:
        for filtered in _filtered_samples(task, seed, samples):
            for metric, value in filtered.scores.items():
                by_seed = collected.setdefault((metric, filtered.filter), {})
                by_seed.setdefault(seed, {})[filtered.row] = value
    return [
        yaml_metric(task, metric, filter_name, by_seed)
        for (metric, filter_name), by_seed in collected.items()
    ]


def final_answers(
    task: Task, seeds: Sequence[int], samples: Samples
) -> dict[int, list[tuple[str | None, bool]]]:
    """Extract final answers with the first filter of the YAML, and judge them by exact match.

    Args:
        task: Task whose YAML is not one of kdbench's own.
        seeds: Seeds of the samples.
        samples: A sample of each document and seed.

    Returns:
        By seed and in document order: the answer, None if there is none, and whether it is right.
        Empty if the YAML has no exact match.
    """
    first = next((entry["name"] for entry in _filters(task.lm_eval)), None)
    answers: dict[int, list[tuple[str | None, bool]]] = {}
    for seed in seeds:
        for filtered in _filtered_samples(task, seed, samples):
            right = _number(filtered.scores.get("exact_match"))
            if right is None or filtered.filter != first:
                continue
            response = filtered.response
            text = str(response[0] if isinstance(response, list | tuple) else response).strip()
            answer = None if text in ("", _NO_ANSWER) else text
            answers.setdefault(seed, []).append((answer, bool(answer) and right > 0))
    return answers


def _filtered_samples(task: Task, seed: int, samples: Samples) -> tuple[_Filtered, ...]:
    outputs = tuple(samples[document.id, seed].answer for document in task.documents)
    return _filtered_outputs(task.lm_eval, task.documents, outputs)


@lru_cache(maxsize=64)  # a run is scored, then compared with a teacher: the filters run once
def _filtered_outputs(
    lm_eval_task: Any, documents: tuple[Document, ...], outputs: tuple[str, ...]
) -> tuple[_Filtered, ...]:
    from lm_eval.api.instance import Instance
    from lm_eval.filters import build_filter_ensemble

    instances = [
        Instance("generate_until", document.fields, (document.prompt, {}), 0, resps=[output])
        for document, output in zip(documents, outputs, strict=True)
    ]
    filtered = []
    for entry in _filters(lm_eval_task):
        name = entry["name"]
        steps = [
            (step["function"], {key: step[key] for key in step if key != "function"})
            for step in entry["filter"]
        ]
        try:
            build_filter_ensemble(name, steps).apply(instances)
        except Exception as error:
            raise InputError(f"filter '{name}' of the task fails: {reason_of(error)}") from error
        for row, (document, instance) in enumerate(zip(documents, instances, strict=True)):
            response = instance.filtered_resps[name]
            scores = _processed(lm_eval_task, document, response)
            filtered.append(_Filtered(name, row, response, scores))
    return tuple(filtered)


def _processed(lm_eval_task: Any, document: Document, response: Any) -> Mapping[str, Any]:
    """Return the YAML's scores of a filtered response.

    Raises:
        InputError: Its function fails, or returns something else than numbers by name.
    """
    place = f"document '{document.id}': process_results"
    try:
        with time_limit(_SECONDS, working=True):
            scores = lm_eval_task.process_results(document.fields, [response])
    except Exception as error:
        raise InputError(f"{place} fails: {reason_of(error)}") from error
    if not isinstance(scores, Mapping):
        raise InputError(f"{place} returns {type(scores).__name__}, not scores by metric")
    return scores


def _filters(lm_eval_task: Any) -> Sequence[Mapping[str, Any]]:
    configured: Sequence[Mapping[str, Any]] | None = lm_eval_task.config.filter_list
    return [_DEFAULT_FILTER] if configured is None else configured


def yaml_metric(
    task: Task, metric: str, filter_name: str, values: Mapping[int, Mapping[int, Any]]
) -> YamlMetric:
    """Aggregate the values of a metric as the YAML says.

    Args:
        task: Task whose YAML has the metric.
        metric: Name of the metric.
        filter_name: Name of the filter.
        values: Values by seed and by index of the document.
    """
    name = f"{metric},{filter_name}"
    documents = range(len(task.documents))
    scores = {
        seed: [_number(of_seed.get(index)) for index in documents]
        for seed, of_seed in values.items()
    }
    higher = task.lm_eval.higher_is_better().get(metric, True)
    direction = "higher" if higher else "lower"
    aggregation = task.lm_eval.aggregation().get(metric, _default_aggregation())
    if aggregation is _default_aggregation() and _all_finite(values):
        return YamlMetric(name, scores, direction)
    aggregates = {
        seed: _aggregate(
            aggregation, list(of_seed.values()), f"task '{task.name}': metric '{name}'"
        )
        for seed, of_seed in values.items()
    }
    return YamlMetric(name, scores, direction, aggregates)


def _default_aggregation() -> Any:
    """Return lm-eval's aggregation for metrics without one."""
    from lm_eval.api.metrics import mean

    return mean


def _all_finite(values: Mapping[int, Mapping[int, Any]]) -> bool:
    numbers = [_number(value) for of_seed in values.values() for value in of_seed.values()]
    return all(number is not None and math.isfinite(number) for number in numbers)


def _aggregate(aggregation: Any, items: list[Any], place: str) -> float | None:
    """Return the aggregate of one seed; None if it is not a finite number.

    Raises:
        InputError: The aggregation fails on these values.
    """
    name = getattr(aggregation, "__name__", str(aggregation))
    try:
        value = _number(aggregation(items))
    except Exception as error:
        raise InputError(f"{place}: aggregation {name}: {reason_of(error)}") from error
    return value if value is not None and math.isfinite(value) else None


def _number(value: Any) -> float | None:
    """Return a number; None for pairs and lists, which the YAML aggregates in its own way."""
    value = value.item() if hasattr(value, "item") else value
    return float(value) if isinstance(value, int | float) else None

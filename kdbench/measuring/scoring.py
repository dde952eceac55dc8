"""Samples become a task's result: scored, averaged, with error bars."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.metrics import (
    Answer,
    CorpusMetric,
    ForwardMetric,
    Metric,
    SampleMetric,
    compares_with_teacher,
)
from kdbench.metrics.exact_match import ExactMatch
from kdbench.protocol import Protocol, postprocess
from kdbench.stats.estimates import Estimate, corpus_estimate, document_means, estimate
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.samples import Samples
from kdbench.task import Task

_NO_ANSWER = "[invalid]"  # what lm-eval's filters give where they find none
Scores = dict[int, list[float | None]]  # by seed, in document order


def fingerprint(task: Task, protocol: Protocol) -> dict[str, Any]:
    """What decides a number, apart from the checkpoint; equal before two runs compare."""
    definition = {} if task.bundled else {"definition_sha256": task.definition_sha256}
    return {
        **definition,
        "task": task.name,
        "task_version": task.version,
        "data_sha256": task.data["sha256"],
        "prompts_sha256": task.prompts_sha256,
        "protocol": protocol.as_dict(),
    }


def score_task(
    task: Task,
    protocol: Protocol,
    samples: Samples,
    metrics: Sequence[Metric],
    forward: Mapping[str, Mapping[str, float]],
    cut_prompts: int | None = None,
) -> tuple[TaskResult, dict[tuple[str, int], dict[str, float | None]]]:
    """Score all samples of a task.

    Args:
        task: its documents are what must be answered.
        protocol: its seeds are those that must be there.
        samples: by document and seed.
        metrics: what to measure.
        forward: values of forward metrics, by name and document.
        cut_prompts: how many prompts the protocol cut, None if not known.

    Returns:
        The result, and the scores of each sample.

    Raises:
        InputError: a sample is missing.
    """
    check_complete(task, protocol.seeds, samples)
    answers = answers_of(task, protocol.seeds, samples)
    scores: dict[str, Scores] = {}
    results: dict[str, MetricResult] = {}
    for metric in metrics:
        if isinstance(metric, CorpusMetric):
            values = {seed: metric.value(each) for seed, each in answers.items()}
            results[metric.name] = _result(metric, corpus_estimate(values, len(task.documents)))
            continue
        by_seed = _scores(metric, task, answers, forward)
        results[metric.name] = _result(metric, estimate(by_seed))
        scores[metric.name] = by_seed
    if not task.bundled:
        for name, by_seed, direction in _own_scores(task, protocol.seeds, samples):
            results[name] = MetricResult(
                **asdict(estimate(by_seed)),
                unit="task's own",
                direction=direction,
                version="lm-eval",
            )
            scores[name] = by_seed
    return _assemble(task, protocol, results, scores, cut_prompts)


def answers_of(task: Task, seeds: Sequence[int], samples: Samples) -> dict[int, list[Answer]]:
    """The responses as metrics see them, by seed and in document order."""
    return {
        seed: [_answer(samples[one.id, seed], one.references) for one in task.documents]
        for seed in seeds
    }


def with_final_answers(
    task: Task, samples: Samples, answers: Mapping[int, Sequence[Answer]]
) -> dict[int, list[Answer]]:
    """The responses with their final answers and whether these are right, for closed answers.

    A YAML of lm-eval's that scores exact match says with its first filter what the answer is. With
    `closed_answers: true` among its metadata the whole response is the answer, right if it equals a
    reference. Free-form tasks have neither, and their responses stay as they are.
    """
    found = {} if task.bundled else _extracted(task, list(answers), samples)
    if not found and not task.closed_answers:
        return {seed: list(each) for seed, each in answers.items()}
    exact = ExactMatch()
    return {
        seed: [
            replace(one, final=found[seed][row][0], right=found[seed][row][1])
            if found
            else replace(one, final=one.text or None, right=bool(one.text and exact.score(one)))
            for row, one in enumerate(each)
        ]
        for seed, each in answers.items()
    }


def with_teacher_of(result: TaskResult, old: TaskResult | None) -> TaskResult:
    """The result with the old one's comparison with a teacher, where its texts are the same."""
    if old is None or old.teacher is None or old.fingerprint != result.fingerprint:
        return result
    kept = {name: one for name, one in old.metrics.items() if compares_with_teacher(name)}
    columns = {name: old.documents[name] for name in kept if name in old.documents}
    return replace(
        result,
        metrics={**result.metrics, **kept},
        documents={**result.documents, **columns},
        teacher=old.teacher,
        curves=old.curves,
    )


def check_complete(task: Task, seeds: Sequence[int], samples: Samples) -> None:
    """Check that every document has a sample of every seed.

    Raises:
        InputError: some are missing; the line names the first.
    """
    missing = [
        (d.id, seed) for d in task.documents for seed in seeds if (d.id, seed) not in samples
    ]
    if missing:
        document, seed = missing[0]
        raise InputError(
            f"task '{task.name}': {len(missing)} of {len(task.documents) * len(seeds)} samples are "
            f"missing, the first for document '{document}', seed {seed}"
        )


def _assemble(
    task: Task,
    protocol: Protocol,
    results: Mapping[str, MetricResult],
    scores: Mapping[str, Scores],
    cut_prompts: int | None,
) -> tuple[TaskResult, dict[tuple[str, int], dict[str, float | None]]]:
    ids = [document.id for document in task.documents]
    means = {name: document_means(by_seed) for name, by_seed in scores.items()}
    result = TaskResult(
        fingerprint=fingerprint(task, protocol),
        metrics=results,
        documents={"id": ids, **means},
        data=task.data,
        cut_prompts=cut_prompts,
        main_metric="rougeL" if "rougeL" in results else next(iter(results)),
    )
    each = {
        (one, seed): {
            name: by_seed[seed][index] for name, by_seed in scores.items() if seed in by_seed
        }
        for index, one in enumerate(ids)
        for seed in protocol.seeds
    }
    return result, each


def _answer(sample: Sample, references: tuple[str, ...]) -> Answer:
    text, tokens = postprocess(sample.output), sample.tokens or None
    return Answer(text, references, sample.n_tokens, sample.finish, tokens)


def _scores(
    metric: Metric,
    task: Task,
    answers: Mapping[int, Sequence[Answer]],
    forward: Mapping[str, Mapping[str, float]],
) -> Scores:
    if isinstance(metric, ForwardMetric):
        values = forward.get(metric.name, {})
        return {0: [values.get(document.id) for document in task.documents]}
    if isinstance(metric, SampleMetric):
        return {seed: [metric.score(one) for one in each] for seed, each in answers.items()}
    raise InputError(
        f"metric '{metric.name}' is of no known kind ({type(metric).__mro__[1].__name__})"
    )


def _result(metric: Metric, numbers: Estimate) -> MetricResult:
    fields = asdict(numbers)
    reason = None if numbers.value is not None else "not known for these samples"
    if isinstance(metric, ForwardMetric):
        fields["per_seed"] = {}  # it has no seeds
        reason = reason and "needs the model"
    return MetricResult(
        **fields,
        unit=metric.unit,
        direction=metric.direction,
        version=str(metric.version),
        reason=reason,
    )


def _number(value: Any) -> float | None:
    """A plain number; what a YAML aggregates in another way (pairs, lists) has none."""
    value = value.item() if hasattr(value, "item") else value
    return float(value) if isinstance(value, int | float) else None


def _own_scores(
    task: Task, seeds: Sequence[int], samples: Samples
) -> "list[tuple[str, Scores, str]]":
    """The YAML's own metrics (after its filters), named `metric,filter` as lm-eval prints them."""
    collected: dict[str, Scores] = {}
    for seed in seeds:
        for name, row, _, values in _outcomes(task, seed, samples):
            for metric, value in values.items():
                by_seed = collected.setdefault(f"{metric},{name}", {})
                column = by_seed.setdefault(seed, [None] * len(task.documents))
                column[row] = _number(value)
    better = task.lm_eval.higher_is_better()
    return [
        (name, scores, "higher" if better.get(name.split(",")[0], True) else "lower")
        for name, scores in collected.items()
    ]


def _extracted(
    task: Task, seeds: Sequence[int], samples: Samples
) -> dict[int, list[tuple[str | None, bool]]]:
    """Final answers and whether they are right, by the first filter; empty without exact match."""
    found: dict[int, list[tuple[str | None, bool]]] = {}
    for seed in seeds:
        for name, _, outcome, values in _outcomes(task, seed, samples):
            right = _number(values.get("exact_match"))
            if right is None or name != task.lm_eval._filters[0].name:
                continue
            answer = str(outcome[0] if isinstance(outcome, list | tuple) else outcome).strip()
            known = None if answer in ("", _NO_ANSWER) else answer
            found.setdefault(seed, []).append((known, bool(known) and right > 0))
    return found


def _outcomes(
    task: Task, seed: int, samples: Samples
) -> Iterator[tuple[str, int, Any, Mapping[str, Any]]]:
    """Each filter's name, each document's row, its filtered response and the YAML's scores."""
    from lm_eval.api.instance import Instance

    instances = [
        Instance("generate_until", document.fields, (document.prompt, {}), 0, resps=[output])
        for document in task.documents
        for output in [samples[document.id, seed].output]
    ]
    for one in task.lm_eval._filters:
        one.apply(instances)
        for row, instance in enumerate(instances):
            outcome = instance.filtered_resps[one.name]
            fields = task.documents[row].fields
            yield one.name, row, outcome, task.lm_eval.process_results(fields, [outcome])

"""Metrics of a task's responses, computed with few of these in memory at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kdbench.measuring.repeated import ScoresByName, prompt_scores
from kdbench.measuring.responses import (
    StoredResponses,
    answers_of,
    closed_answers,
    has_own_metrics,
    with_final_answers,
)
from kdbench.measuring.score_array import ScoreArray
from kdbench.metrics import Answer, CorpusMetric, Metric, PromptMetric, SampleMetric
from kdbench.stats.estimates import Estimate, corpus_estimate


class DocumentScores(NamedTuple):
    """What single responses and the responses to single prompts score.

    Attributes:
        scores: Scores of single responses, by metric.
        columns: Scores of prompts, by name of the result.
    """

    scores: Mapping[str, ScoreArray]
    columns: ScoresByName


def score_documents(metrics: Sequence[Metric], responses: StoredResponses) -> DocumentScores:
    """Score the responses, document by document.

    Metrics of prompts in a task with filters of lm-eval take all responses at once, as filters do.

    Args:
        metrics: Metrics of all kinds, of which those of responses and of prompts count.
        responses: The responses.
    """
    task, seeds = responses.task, responses.seeds
    single = [metric for metric in metrics if isinstance(metric, SampleMetric)]
    repeated = [metric for metric in metrics if isinstance(metric, PromptMetric)]
    scores = {metric.name: ScoreArray(len(task.documents), seeds) for metric in single}
    columns: ScoresByName = {name: [] for metric in repeated for name in metric.result_names}
    by_prompt = [] if has_own_metrics(task) else repeated
    for row in range(len(task.documents) if single or by_prompt else 0):
        answers = responses.of_document(row)
        for metric in single:
            of_metric = scores[metric.name]
            for place, answer in enumerate(answers):
                if metric.counts(answer):
                    of_metric.set(row, place, metric.score(answer))
        if by_prompt:
            final = closed_answers(task, answers)
            of_prompt = {seed: [answer] for seed, answer in zip(seeds, final, strict=True)}
            for name, column in prompt_scores(by_prompt, of_prompt).items():
                columns[name] += column
    if repeated and not by_prompt:
        every = answers_of(task, seeds, responses.samples)
        columns = prompt_scores(repeated, with_final_answers(task, responses.samples, every))
    return DocumentScores(scores, columns)


def score_corpora(metrics: Sequence[Metric], responses: StoredResponses) -> dict[str, Estimate]:
    """Measure the responses of each seed as a whole, and return the estimates by metric.

    Args:
        metrics: Metrics of all kinds, of which those of corpora count.
        responses: The responses.
    """
    wanted = [metric for metric in metrics if isinstance(metric, CorpusMetric)]
    values: dict[str, dict[int, float | None]] = {metric.name: {} for metric in wanted}
    counts: dict[str, int] = {}
    for seed in responses.seeds if wanted else ():
        for metric, value, count in _of_seed(wanted, responses.of_seed(seed)):
            values[metric.name][seed] = value
            counts.setdefault(metric.name, count)  # of the first seed
    return {name: corpus_estimate(by_seed, counts[name]) for name, by_seed in values.items()}


def _of_seed(
    metrics: Sequence[CorpusMetric], answers: Iterable[Answer]
) -> list[tuple[CorpusMetric, float | None, int]]:
    """Each metric's number of one seed, and the number of responses that count."""
    counters = [_CorpusCount(metric) for metric in metrics]
    for answer in answers:
        for counter in counters:
            counter.add(answer)
    return [(counter.metric, counter.value(), counter.count) for counter in counters]


class _CorpusCount:
    """A corpus metric of one seed; it keeps the responses if the metric has no tally."""

    def __init__(self, metric: CorpusMetric):
        self.metric, self.count = metric, 0
        self._tally = metric.tally()
        self._answers: list[Answer] = []

    def add(self, answer: Answer) -> None:
        if not self.metric.counts(answer):
            return
        self.count += 1
        if self._tally is None:
            self._answers.append(answer)
        else:
            self._tally.add(answer)

    def value(self) -> float | None:
        if not self.count:
            return None
        return self.metric.value(self._answers) if self._tally is None else self._tally.value()

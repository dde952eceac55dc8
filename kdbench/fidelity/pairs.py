"""Text metrics of a task: each response of the student with one of the teacher's."""

from collections.abc import Mapping, Sequence

import numpy as np

from kdbench.fidelity.results import Results
from kdbench.fidelity.wanted import WantedMetrics
from kdbench.metrics import (
    Answer,
    CorpusPairMetric,
    PairMetric,
    PooledPairMetric,
    PromptPairMetric,
    TeacherMetric,
)
from kdbench.stats.estimates import (
    Estimate,
    corpus_estimate,
    estimate,
    mean_estimate,
    pooled_estimate,
)
from kdbench.task import NO_REFERENCES

AnswersBySeed = Mapping[int, Sequence[Answer]]  # in document order


def add_pairs(
    results: Results,
    wanted: WantedMetrics,
    student: AnswersBySeed,
    teacher: AnswersBySeed,
    no_shared_noise: str | None = None,
) -> None:
    """Add the text metrics to the results.

    Args:
        results: Results to add to.
        wanted: Metrics to measure.
        student: The student's responses.
        teacher: The teacher's responses: at least the student's seeds, and unless decoding is
            greedy a second seed.
        no_shared_noise: Why responses of one seed are not drawn with the same noise, if they are
            not.
    """
    for metric in wanted.metrics:
        if not _counted(metric, next(iter(student.values()))):
            results.add_nulls([metric.name], wanted, NO_REFERENCES)
        elif isinstance(metric, PairMetric) and metric.same_noise and no_shared_noise:
            results.add_nulls([metric.name], wanted, no_shared_noise)
        elif isinstance(metric, PairMetric):
            ceiling = metric.perfect
            if ceiling is None:
                ceiling = estimate(_scores(metric, _teacher_as(student, teacher), teacher)).value
            scores = _scores(metric, student, teacher)
            results.add_scores(metric.name, metric, scores, ceiling=ceiling)
            if metric.survival:
                results.add_survival(metric.name, scores)
        elif isinstance(metric, PooledPairMetric | CorpusPairMetric | PromptPairMetric):
            ceiling = metric.perfect
            if ceiling is None:
                ceiling = _number(metric, _teacher_as(student, teacher), teacher).value
            numbers = _number(metric, student, teacher)
            results.add(metric.name, metric, numbers, ceiling=ceiling)


def partner(seed: int, teacher: Sequence[int], same_noise: bool) -> int:
    """Return the seed of the teacher's response with which a student's response is compared.

    Args:
        seed: The student's seed.
        teacher: The teacher's seeds, in order.
        same_noise: Whether to take the same seed, so that both are drawn with the same noise, or
            the next one.
    """
    if same_noise:
        return seed
    return teacher[(list(teacher).index(seed) + 1) % len(teacher)]


def _teacher_as(student: AnswersBySeed, teacher: AnswersBySeed) -> AnswersBySeed:
    """The teacher's responses at the student's seeds, to be compared in its place."""
    return {seed: teacher[seed] for seed in student}


def _scores(
    metric: PairMetric, student: AnswersBySeed, teacher: AnswersBySeed
) -> dict[int, list[float | None]]:
    return {
        seed: [
            metric.score(*pair) if metric.counts(pair[0]) else None
            for pair in zip(answers, teacher_answers, strict=True)
        ]
        for seed, answers in student.items()
        for teacher_answers in [teacher[partner(seed, list(teacher), metric.same_noise)]]
    }


def _counted(metric: TeacherMetric, answers: Sequence[Answer]) -> list[Answer]:
    """The responses that count; the same documents of every seed and model."""
    return [answer for answer in answers if metric.counts(answer)]


def _number(metric: TeacherMetric, student: AnswersBySeed, teacher: AnswersBySeed) -> Estimate:
    student, teacher = (
        {seed: _counted(metric, answers) for seed, answers in of_model.items()}
        for of_model in (student, teacher)
    )
    paired = {seed: teacher[partner(seed, list(teacher), False)] for seed in student}
    documents = len(next(iter(student.values())))
    if isinstance(metric, PooledPairMetric):
        sums = {
            seed: np.array(
                [metric.sums(*pair) for pair in zip(answers, paired[seed], strict=True)],
                dtype=float,
            )
            for seed, answers in student.items()
        }
        return pooled_estimate(sums, metric.value, unit=metric.unit)
    if isinstance(metric, CorpusPairMetric):
        values = {seed: metric.value(answers, paired[seed]) for seed, answers in student.items()}
        return corpus_estimate(values, documents)
    assert isinstance(metric, PromptPairMetric)  # noqa: S101 - for the type checker
    scores = [
        metric.score(
            [answers[row] for answers in student.values()], [teacher[seed][row] for seed in student]
        )
        for row in range(documents)
    ]
    return mean_estimate(scores, metric.unit)

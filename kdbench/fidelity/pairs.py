"""Text metrics of a task: each of the student's responses beside one of the teacher's."""

from collections.abc import Mapping, Sequence

import numpy as np

from kdbench.fidelity.results import Results
from kdbench.fidelity.wanted import Wanted
from kdbench.metrics import (
    Answer,
    CorpusPairMetric,
    PairMetric,
    PooledPairMetric,
    PromptPairMetric,
    TeacherMetric,
)
from kdbench.stats.estimates import Estimate, corpus_estimate, estimate, pooled_estimate

Answers = Mapping[int, Sequence[Answer]]  # by seed, in document order


def add_pairs(
    results: Results,
    wanted: Wanted,
    student: Answers,
    teacher: Answers,
    no_shared_noise: str | None = None,
) -> None:
    """Add the text metrics.

    Args:
        results: to add them to.
        wanted: what to measure.
        student: the student's responses.
        teacher: the teacher's; at least the student's seeds, and a second one unless greedy.
        no_shared_noise: why responses of one seed are not drawn with the same noise, if so.
    """
    for metric in wanted.metrics:
        if isinstance(metric, PairMetric) and metric.same_noise and no_shared_noise:
            results.add_nulls([metric.name], wanted, no_shared_noise)
        elif isinstance(metric, PairMetric):
            ceiling = metric.perfect
            if ceiling is None:
                ceiling = estimate(_scores(metric, _own(student, teacher), teacher)).value
            scores = _scores(metric, student, teacher)
            results.add_scores(metric.name, metric, scores, ceiling=ceiling)
            if metric.survival:
                results.add_survival(metric.name, scores)
        elif isinstance(metric, PooledPairMetric | CorpusPairMetric | PromptPairMetric):
            ceiling = metric.perfect
            if ceiling is None:
                ceiling = _number(metric, _own(student, teacher), teacher).value
            numbers = _number(metric, student, teacher)
            results.add(metric.name, metric, numbers, ceiling=ceiling)


def partner(seed: int, teacher: Sequence[int], same_noise: bool) -> int:
    """The seed of the teacher's response that one of the student's is compared with.

    Args:
        seed: the student's.
        teacher: the teacher's seeds, in order.
        same_noise: the same seed, whose noise both were drawn with; else the next one.
    """
    if same_noise:
        return seed
    return teacher[(list(teacher).index(seed) + 1) % len(teacher)]


def _own(student: Answers, teacher: Answers) -> Answers:
    """The teacher in the student's place."""
    return {seed: teacher[seed] for seed in student}


def _scores(
    metric: PairMetric, student: Answers, teacher: Answers
) -> dict[int, list[float | None]]:
    return {
        seed: [metric.score(mine, its) for mine, its in zip(answers, other, strict=True)]
        for seed, answers in student.items()
        for other in [teacher[partner(seed, list(teacher), metric.same_noise)]]
    }


def _number(metric: TeacherMetric, student: Answers, teacher: Answers) -> Estimate:
    paired = {seed: teacher[partner(seed, list(teacher), False)] for seed in student}
    documents = len(next(iter(student.values())))
    if isinstance(metric, PooledPairMetric):
        sums = {
            seed: np.array(
                [metric.sums(a, b) for a, b in zip(answers, paired[seed], strict=True)], dtype=float
            )
            for seed, answers in student.items()
        }
        return pooled_estimate(sums, metric.value)
    if isinstance(metric, CorpusPairMetric):
        values = {seed: metric.value(answers, paired[seed]) for seed, answers in student.items()}
        return corpus_estimate(values, documents)
    assert isinstance(metric, PromptPairMetric)  # noqa: S101 - for the type checker
    scores = [
        metric.score([each[row] for each in student.values()], [each[row] for each in its])
        for its in [[teacher[seed] for seed in student]]
        for row in range(documents)
    ]
    numbers = estimate({0: scores})
    return Estimate(numbers.value, numbers.ci_low, numbers.ci_high, None, {}, numbers.n)

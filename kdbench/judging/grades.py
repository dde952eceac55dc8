"""Judgements of single responses become metrics.

The headline is that of the MiniLLM and DistiLLM papers: the total of the judge's scores of the
responses, divided by the total of its scores of the references, in percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from kdbench.judging.judgements import Judgement
from kdbench.metrics import judged_metric
from kdbench.stats.estimates import Estimate, document_means, estimate, pooled_estimate
from kdbench.store.results import MetricResult

FinalJudgements = Mapping[int, Sequence[Judgement]]
"""The judgements that count, by seed, in the order of the judged documents."""

ScoreColumn = list[float | None]
"""A score of each judged document; None for one without a score."""

VERSION = 1
"""Version of the metrics, to be raised whenever the same judgements would give other numbers."""

_NO_REFERENCE = "the judge saw no reference"
_NO_SCORE = "the judge gave no score that could be read"
_UNDEFINED = Estimate(None, None, None, None, {}, 0)


class Numbers:
    """Collects the metrics of one way of judging.

    Args:
        version: Version of the metrics, which names the judge and prompt.
        documents: Number of documents of the task; those behind the judged ones get no score.
        suffix: End of the metrics' names, such as `@teacher`.

    Attributes:
        metrics: Results by name.
        columns: Scores per document, by name.
    """

    def __init__(self, version: str, documents: int, suffix: str = ""):
        self._version, self._documents, self._suffix = version, documents, suffix
        self.metrics: dict[str, MetricResult] = {}
        self.columns: dict[str, ScoreColumn] = {}

    def add(
        self,
        name: str,
        numbers: Estimate,
        column: Sequence[float | None] | None = None,
        reason: str = _NO_SCORE,
    ) -> None:
        """Add a metric.

        Args:
            name: Name of the metric.
            numbers: Its estimate.
            column: Scores of the judged documents; None if it has none.
            reason: Why there is no number, if there is none.
        """
        full = f"{name}{self._suffix}"
        metric = judged_metric(full)
        assert metric is not None  # noqa: S101 - every name is one of the list
        self.metrics[full] = MetricResult(
            **asdict(numbers),
            unit=metric.unit,
            direction=metric.direction,
            version=self._version,
            reason=reason if numbers.value is None else None,
        )
        if column is not None:
            self.columns[full] = [*column, *[None] * (self._documents - len(column))]

    def add_mean(self, name: str, scores: Mapping[int, ScoreColumn]) -> None:
        """Add a mean over seeds and then over prompts."""
        metric = judged_metric(f"{name}{self._suffix}")
        unit = metric.unit if metric else ""
        self.add(name, estimate(scores, unit), document_means(scores))

    def add_shares_without(self, asked: Mapping[int, Sequence[Sequence[Judgement | None]]]) -> None:
        """Add the shares of judgements that could not be read, or were declined.

        Args:
            asked: The judgements about each document, by seed; None for one not asked for.
        """
        for name, statuses in (
            ("judge_unparsable", ("unparsable",)),
            ("judge_refused", ("refused", "too long")),
        ):
            shares = {seed: [_share(cell, statuses) for cell in row] for seed, row in asked.items()}
            self.add_mean(name, shares)


def add_grades(numbers: Numbers, final: FinalJudgements, with_reference: bool) -> None:
    """Add the metrics of graded responses.

    Args:
        numbers: Where the metrics go.
        final: The judgements.
        with_reference: Whether each judgement scores the reference, too.
    """
    responses = {seed: [_score(one, 0) for one in row] for seed, row in final.items()}
    if with_reference:
        references = {seed: [_score(one, 1) for one in row] for seed, row in final.items()}
        _add_ratio(numbers, responses, references)
    else:
        numbers.add("judge", _UNDEFINED, reason=_NO_REFERENCE)
    numbers.add_mean("judge_score", responses)
    if with_reference:
        numbers.add_mean("judge_reference", references)
    numbers.add_shares_without({seed: [(one,) for one in row] for seed, row in final.items()})


def _share(cell: Sequence[Judgement | None], statuses: Sequence[str]) -> float | None:
    known = [float(one.status in statuses) for one in cell if one is not None]
    return sum(known) / len(known) if known else None


def _score(judgement: Judgement, place: int) -> float | None:
    return None if judgement.scores is None else judgement.scores[place]


def _add_ratio(
    numbers: Numbers,
    responses: Mapping[int, ScoreColumn],
    references: Mapping[int, ScoreColumn],
) -> None:
    """Add the ratio of the totals.

    Its scores per document are those of the delta method, R + (x - R y) / mean(y), where R is the
    ratio and x and y are what the document adds to the totals. Their mean is R, and paired
    differences of two runs have the variance that the difference of the ratios has.
    """
    sums = {seed: _pairs(responses[seed], references[seed]) for seed in responses}
    numbers.add(
        "judge",
        pooled_estimate(sums, _percent),
        _delta_scores(np.sum(list(sums.values()), axis=0)),
    )


def _pairs(responses: ScoreColumn, references: ScoreColumn) -> np.ndarray:
    """What each document adds to the two totals, shape (documents, 2)."""
    both = zip(responses, references, strict=True)
    return np.array([(x or 0.0, y or 0.0) for x, y in both], dtype=np.float64).reshape(-1, 2)


def _percent(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = 100 * sums[..., 0] / sums[..., 1]
    return ratio


def _delta_scores(totals: np.ndarray) -> ScoreColumn:
    known = totals[:, 1] > 0  # a score is at least 1
    if not known.any():
        return [None] * len(totals)
    ratio, mean = float(_percent(totals.sum(axis=0))), totals[known, 1].mean()
    scores = ratio + (100 * totals[:, 0] - ratio * totals[:, 1]) / mean
    return [float(score) if has else None for score, has in zip(scores, known, strict=True)]

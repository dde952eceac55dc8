"""Distinct-n: how varied the responses of one seed are.

Metric: distinct n-grams / all n-grams of whitespace-separated words, over all responses of a seed;
        the mean over seeds. It falls as the corpus grows, so compare equal sets and lengths only,
        and it has no interval: resampled prompts repeat, which lowers it.
Source: Li et al. 2016 (arXiv 1510.03055).
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kdbench.metrics import Answer, CorpusMetric, metrics


def distinct_share(texts: Iterable[Sequence[str]], size: int) -> float | None:
    """Distinct n-grams over all n-grams of texts as words; None where there is none."""
    total = 0
    distinct: set[tuple[str, ...]] = set()
    for words in texts:
        grams = list(zip(*(words[start:] for start in range(size)), strict=False))
        total += len(grams)
        distinct.update(grams)
    return len(distinct) / total if total else None


class _Distinct(CorpusMetric):
    unit = "rate"
    direction = "none"
    size: ClassVar[int]

    def value(self, answers: Sequence[Answer]) -> float | None:
        """None where no response has n words."""
        return distinct_share([answer.text.split() for answer in answers], self.size)


@metrics.register("distinct_1")
class Distinct1(_Distinct):
    """Distinct words over all words."""

    name = "distinct_1"
    size = 1


@metrics.register("distinct_2")
class Distinct2(_Distinct):
    """Distinct pairs of words over all pairs."""

    name = "distinct_2"
    size = 2


@metrics.register("distinct_3")
class Distinct3(_Distinct):
    """Distinct 3-grams of words over all 3-grams."""

    name = "distinct_3"
    size = 3


@metrics.register("distinct_4")
class Distinct4(_Distinct):
    """Distinct 4-grams of words over all 4-grams."""

    name = "distinct_4"
    size = 4

"""Distinct-n: diversity of the responses of one seed.

Metric: distinct n-grams / all n-grams of whitespace-separated words, over all responses of a seed;
        mean over seeds. It falls as the corpus grows, so only equal sets and lengths compare. It
        has no interval, because resampled prompts repeat, which lowers it.
Source: Li et al. 2016 (arXiv 1510.03055).
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kdbench.metrics import Answer, CorpusMetric, metrics


def distinct_share(texts: Iterable[Sequence[str]], size: int) -> float | None:
    """Return distinct n-grams / all n-grams.

    Args:
        texts: Texts as sequences of words.
        size: n, the length of an n-gram.

    Returns:
        The share; None if no text has n words.
    """
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
        """Return the share; None if no response has n words."""
        return distinct_share([answer.text.split() for answer in answers], self.size)


@metrics.register("distinct_1")
class Distinct1(_Distinct):
    """Share of distinct words among all words, over the responses of a seed."""

    name = "distinct_1"
    size = 1


@metrics.register("distinct_2")
class Distinct2(_Distinct):
    """Share of distinct word 2-grams among all, over the responses of a seed."""

    name = "distinct_2"
    size = 2


@metrics.register("distinct_3")
class Distinct3(_Distinct):
    """Share of distinct word 3-grams among all, over the responses of a seed."""

    name = "distinct_3"
    size = 3


@metrics.register("distinct_4")
class Distinct4(_Distinct):
    """Share of distinct word 4-grams among all, over the responses of a seed."""

    name = "distinct_4"
    size = 4

"""Distinct-n: diversity of the responses of one seed.

Metric: distinct n-grams / all n-grams of whitespace-separated words, over all responses of a seed;
        mean over seeds. It falls as the corpus grows, so only equal sets and lengths compare. It
        has no interval, because resampled prompts repeat, which lowers it.
Source: Li et al. 2016 (arXiv 1510.03055).
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from kdbench.metrics import Answer, CorpusMetric, metrics

if TYPE_CHECKING:
    import numpy as np

_GRAMS = 2**16  # n-grams that are not sorted yet


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


class GramTally:
    """The distinct n-grams of many texts, in four bytes for each word of a distinct n-gram.

    A word is a number, and an n-gram is a row of n numbers. New rows are sorted into the known ones
    as soon as they are half as many, so that each is sorted a few times.

    Args:
        size: n, the length of an n-gram.
    """

    def __init__(self, size: int):
        self._size = size
        self._words: dict[str, int] = {}
        self._new = array("I")
        self._known: np.ndarray | None = None
        self._total = 0

    def add(self, answer: Answer) -> None:
        """Count the n-grams of a response."""
        words = self._words
        numbers = [words.setdefault(word, len(words)) for word in answer.text.split()]
        for start in range(len(numbers) - self._size + 1):
            self._new.extend(numbers[start : start + self._size])
            self._total += 1
        known = 0 if self._known is None else len(self._known)
        if len(self._new) > self._size * max(_GRAMS, known // 2):
            self._merge()

    def value(self) -> float | None:
        """Return the share; None if no response has n words."""
        self._merge()
        distinct = 0 if self._known is None else len(self._known)
        return distinct / self._total if self._total else None

    def _merge(self) -> None:
        import numpy as np

        row = np.dtype((np.void, 4 * self._size))
        new = np.unique(np.frombuffer(self._new, dtype=row))
        self._known = new if self._known is None else np.unique(np.concatenate([self._known, new]))
        self._new = array("I")


class _Distinct(CorpusMetric):
    unit = "rate"
    direction = "none"
    size: ClassVar[int]

    def value(self, answers: Sequence[Answer]) -> float | None:
        """Return the share; None if no response has n words."""
        return distinct_share([answer.text.split() for answer in answers], self.size)

    def tally(self) -> GramTally:
        """Count the same n-grams one response after the other."""
        return GramTally(self.size)


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

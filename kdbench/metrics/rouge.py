"""ROUGE-L F-measure: the longest common subsequence of response and reference.

Metric: F = 2PR/(P+R) with P = LCS/|response| and R = LCS/|reference| in stemmed words; maximum over
        references; points.
Source: Lin 2004; bit-identical to the `rouge-score` package with `use_stemmer=True`, which MiniLLM
        and DistiLLM use. Text is lower-cased, everything but a-z and 0-9 separates words, and words
        longer than three letters are stemmed (Porter). Non-Latin text therefore scores 0.
"""

import re
from functools import lru_cache
from typing import Any

from kdbench.metrics import Answer, SampleMetric, metrics

_WORDS = re.compile("[a-z0-9]+")


class _StemIds(dict[str, int]):
    """Numbers of stems by word. Stemming takes nine tenths of the time, and words repeat."""

    def __init__(self) -> None:
        super().__init__()
        self._stem: Any = None
        self._numbers: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        if self._stem is None:
            from nltk.stem.porter import PorterStemmer

            self._stem = PorterStemmer().stem
        stem = self._stem(word) if len(word) > 3 else word
        number = self[word] = self._numbers.setdefault(stem, len(self._numbers))
        return number


_stem_ids = _StemIds()


def rouge_words(text: str) -> list[int]:
    """Return the words of a text, as numbers of their stems."""
    return [_stem_ids[word] for word in _WORDS.findall(text.lower())]


def rouge_l(reference: list[int], response: list[int]) -> float:
    """Compute the ROUGE-L F-measure of two texts, given as `rouge_words`; 0 to 1."""
    from rapidfuzz.distance import LCSseq

    common = LCSseq.similarity(reference, response)
    if not common:
        return 0.0
    # The same order of operations as rouge-score, for equality to the last bit.
    precision, recall = common / len(response), common / len(reference)
    return float(2 * precision * recall / (precision + recall))


@metrics.register("rougeL")
class RougeL(SampleMetric):
    """ROUGE-L F-measure with stemming, maximum over references."""

    name = "rougeL"
    unit = "points"
    direction = "higher"

    def __init__(self) -> None:
        self._reference = lru_cache(maxsize=None)(rouge_words)  # all seeds have the same references

    def score(self, answer: Answer) -> float:
        """Return the score, 0 to 100."""
        response = rouge_words(answer.text)
        return 100 * max(rouge_l(self._reference(text), response) for text in answer.references)

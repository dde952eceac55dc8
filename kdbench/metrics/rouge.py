"""ROUGE-L F-measure: the longest common subsequence of response and reference.

Metric: F = 2PR/(P+R) with P = LCS/|response| and R = LCS/|reference| in stemmed words; maximum over
        references; points.
Source: Lin 2004; bit-identical to the `rouge-score` package with `use_stemmer=True`, which MiniLLM
        and DistiLLM use. Text is lower-cased, everything but a-z and 0-9 separates words, and words
        longer than three letters are stemmed (Porter). Non-Latin text therefore scores 0;
        `rouge_tokenizer=` gives `rougeL[unicode]` on words of any script, lower-cased and not
        stemmed, with each character of scripts without spaces as a word (as in sacrebleu's `zh`),
        and `rougeL[characters]` on all characters but white space (as in sacrebleu's `char`).
"""

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

from kdbench.metrics import Answer, SampleMetric, metrics

_WORDS = re.compile("[a-z0-9]+")
# Kana, Han, Thai, Lao, Myanmar and Khmer are written without spaces between words.
_NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W_{_NO_SPACES}]"
_UNICODE_WORDS = re.compile(rf"[{_NO_SPACES}]|{_LETTER}(?:{_LETTER}|[\u0300-\u036f])*")


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


def unicode_words(text: str) -> list[str]:
    """Return the words of a text in any script, lower-cased."""
    import unicodedata

    return _UNICODE_WORDS.findall(unicodedata.normalize("NFC", text).lower())


def characters(text: str) -> list[str]:
    """Return the characters of a text without white space."""
    return list("".join(text.split()))


def rouge_l(reference: Sequence[Hashable], response: Sequence[Hashable]) -> float:
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
    needs_reference = True

    def __init__(self) -> None:
        self._reference = lru_cache(maxsize=None)(self.words)  # all seeds have the same references

    def words(self, text: str) -> Sequence[Hashable]:
        """Return what is compared of a text."""
        return rouge_words(text)

    def score(self, answer: Answer) -> float:
        """Return the score, 0 to 100."""
        response = self.words(answer.text)
        return 100 * max(rouge_l(self._reference(text), response) for text in answer.references)


@metrics.register("rougeL[unicode]")
class RougeLUnicode(RougeL):
    """ROUGE-L F-measure on words of any script, without stemming."""

    name = "rougeL[unicode]"

    def words(self, text: str) -> Sequence[Hashable]:
        """Return the words in any script."""
        return unicode_words(text)


@metrics.register("rougeL[characters]")
class RougeLCharacters(RougeL):
    """ROUGE-L F-measure on characters."""

    name = "rougeL[characters]"

    def words(self, text: str) -> Sequence[Hashable]:
        """Return the characters."""
        return characters(text)

"""Similarity of the student's responses to its teacher's.

Metric: overlap of the student's response with the teacher's response to the same prompt as the
        only reference; points. ROUGE-L F as in `rougeL`; corpus BLEU (13a tokens, exponential
        smoothing) from counts summed over all pairs, so that each resample has its own value; BLEU
        of each response (effective order); chrF (on characters, for every language). Two empty
        texts score 100, an empty and a non-empty one 0. Corpus BLEU is 0 if no response has four
        tokens. ROUGE-L only reads a-z and 0-9: texts without such a word score 100 if they are
        equal, else 0.
Source: Lin 2004; Papineni et al. 2002 and Popović 2015, with sacrebleu's defaults.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from kdbench.metrics import Answer, PairMetric, PooledPairMetric, metrics
from kdbench.metrics.rouge import rouge_l, rouge_words

if TYPE_CHECKING:
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

_ORDERS = 4  # longest n-gram of BLEU


@metrics.register("rougeL_teacher")
class RougeLTeacher(PairMetric):
    """ROUGE-L F-measure against the teacher's response."""

    name = "rougeL_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """Return the score, 0 to 100."""
        if student.text.split() == teacher.text.split():
            return 100.0
        return 100 * rouge_l(rouge_words(teacher.text), rouge_words(student.text))


@metrics.register("bleu_teacher")
class BleuTeacher(PooledPairMetric):
    """Corpus BLEU against the teacher's responses."""

    by_default = False
    name = "bleu_teacher"
    unit = "points"
    direction = "higher"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return both lengths, then matching n-grams and all n-grams of each order."""
        score = _bleu(effective_order=False).corpus_score([student.text], [[teacher.text]])
        return [score.sys_len, score.ref_len, *score.counts, *score.totals]

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Return the score, 0 to 100."""
        return bleu_of_counts(sums)


@metrics.register("sentence_bleu_teacher")
class SentenceBleuTeacher(PairMetric):
    """BLEU of each response against the teacher's response."""

    by_default = False
    name = "sentence_bleu_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """Return the score, 0 to 100."""
        return sentence_bleu(student.text, [teacher.text])


@metrics.register("chrf_teacher")
class ChrfTeacher(PairMetric):
    """chrF (character n-grams) of each response against the teacher's response."""

    by_default = False
    name = "chrf_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """Return the score, 0 to 100."""
        return sentence_chrf(student.text, teacher.text)


def sentence_bleu(response: str, references: Sequence[str]) -> float:
    """Compute BLEU of a text, 0 to 100; 100 if both it and a reference are empty."""
    if not response.split() and not all(text.split() for text in references):
        return 100.0
    return float(_bleu(effective_order=True).sentence_score(response, references).score)


def sentence_chrf(response: str, reference: str) -> float:
    """Compute chrF of a text, 0 to 100; 100 if both texts are empty."""
    if not response.split() and not reference.split():
        return 100.0
    return float(_chrf().sentence_score(response, [reference]).score)


def bleu_of_counts(sums: "np.ndarray") -> "np.ndarray":
    """Compute corpus BLEU of many corpora at once, from the sums of `BleuTeacher`.

    The first order without a match counts as half a match, the next as a quarter, and so on
    (exponential smoothing).

    Args:
        sums: Lengths, matches and totals, shape (..., 10).

    Returns:
        Scores, 0 to 100, shape (...).
    """
    import numpy as np

    response, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + _ORDERS], sums[..., 2 + _ORDERS :]
    smoothed = np.where(matches > 0, matches, 0.5 ** (matches == 0).cumsum(-1))
    precision = np.where(totals > 0, smoothed, 0) / np.where(totals > 0, totals, 1)
    short = np.minimum(0, 1 - reference / np.where(response > 0, response, 1))
    with np.errstate(divide="ignore"):  # log 0, if no response is long enough for an order
        score = 100 * np.exp(short + np.log(precision).mean(-1))
    without_match = np.where((response == 0) & (reference == 0), 100.0, 0.0)
    scores: np.ndarray = np.where(matches.any(-1), score, without_match)
    return scores


@lru_cache(maxsize=2)
def _bleu(effective_order: bool) -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=effective_order)


@lru_cache(maxsize=1)
def _chrf() -> "CHRF":
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()

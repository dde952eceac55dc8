"""How like the teacher's text the student's is.

Metric: the student's response with the teacher's to the same prompt as the only reference; points.
        ROUGE-L F as `rougeL`; BLEU of the corpus (13a tokens, exponential smoothing) from counts
        summed over all pairs, so that any resample has its own; BLEU of each response (effective
        order); chrF (characters: for every language). Two empty texts are alike (100), an empty
        one is unlike any other (0). Corpus BLEU is 0 where no response has four tokens. ROUGE-L
        reads a-z and 0-9 only: texts with no such word score 100 where they are equal, else 0.
Source: Lin 2004; Papineni et al. 2002 and Popović 2015, as sacrebleu has them (its defaults).
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

_ORDERS = 4  # of BLEU


@metrics.register("rougeL_teacher")
class RougeLTeacher(PairMetric):
    """ROUGE-L F-measure against the teacher's response."""

    name = "rougeL_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """0 to 100."""
        if student.text.split() == teacher.text.split():
            return 100.0
        return 100 * rouge_l(rouge_words(teacher.text), rouge_words(student.text))


@metrics.register("bleu_teacher")
class BleuTeacher(PooledPairMetric):
    """Corpus BLEU against the teacher's responses."""

    name = "bleu_teacher"
    unit = "points"
    direction = "higher"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Both lengths, then matching n-grams and all n-grams of each order."""
        found = _bleu(effective_order=False).corpus_score([student.text], [[teacher.text]])
        return [found.sys_len, found.ref_len, *found.counts, *found.totals]

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """0 to 100."""
        return bleu_of_counts(sums)


@metrics.register("sentence_bleu_teacher")
class SentenceBleuTeacher(PairMetric):
    """BLEU of each response against the teacher's."""

    name = "sentence_bleu_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """0 to 100."""
        return sentence_bleu(student.text, [teacher.text])


@metrics.register("chrf_teacher")
class ChrfTeacher(PairMetric):
    """chrF, by characters, of each response against the teacher's."""

    name = "chrf_teacher"
    unit = "points"
    direction = "higher"

    def score(self, student: Answer, teacher: Answer) -> float:
        """0 to 100."""
        return sentence_chrf(student.text, teacher.text)


def sentence_bleu(response: str, references: Sequence[str]) -> float:
    """BLEU of one text, 0 to 100; 100 where it is empty and a reference is too."""
    if not response.split() and not all(text.split() for text in references):
        return 100.0
    return float(_bleu(effective_order=True).sentence_score(response, references).score)


def sentence_chrf(response: str, reference: str) -> float:
    """The chrF of one text, 0 to 100; 100 where both are empty."""
    if not response.split() and not reference.split():
        return 100.0
    return float(_chrf().sentence_score(response, [reference]).score)


def bleu_of_counts(sums: "np.ndarray") -> "np.ndarray":
    """Corpus BLEU of many corpora at once, from the sums of `BleuTeacher`: (..., 10) to (...).

    An order without a match counts half a match, the next such a quarter (exponential smoothing).
    """
    import numpy as np

    response, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + _ORDERS], sums[..., 2 + _ORDERS :]
    smoothed = np.where(matches > 0, matches, 0.5 ** (matches == 0).cumsum(-1))
    precision = np.where(totals > 0, smoothed, 0) / np.where(totals > 0, totals, 1)
    short = np.minimum(0, 1 - reference / np.where(response > 0, response, 1))
    with np.errstate(divide="ignore"):  # an order that no response is long enough for: log 0
        score = 100 * np.exp(short + np.log(precision).mean(-1))
    nothing = np.where((response == 0) & (reference == 0), 100.0, 0.0)
    either: np.ndarray = np.where(matches.any(-1), score, nothing)
    return either


@lru_cache(maxsize=2)
def _bleu(effective_order: bool) -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=effective_order)


@lru_cache(maxsize=1)
def _chrf() -> "CHRF":
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()

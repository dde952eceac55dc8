"""Whether the student is as varied as its teacher: the student's value less the teacher's.

Metric: Distinct-n over all responses of a seed, on equal amounts of text (it falls as text grows):
        each response and the teacher's to the same prompt are cut to the shorter one's number of
        whitespace-separated words. Self-BLEU of a prompt's responses: the mean of the BLEU of each
        against all others; it needs four responses, and as many of both models are compared. Lower
        self-BLEU is more varied, so a positive gap means a student less varied than its teacher;
        of Distinct-n a negative one does.
Source: Li et al. 2016 (arXiv 1510.03055); Zhu et al. 2018 (self-BLEU, arXiv 1802.01886).
"""

from collections.abc import Sequence
from typing import ClassVar

from kdbench.metrics import Answer, CorpusPairMetric, PromptPairMetric, metrics
from kdbench.metrics.distinct import distinct_share
from kdbench.metrics.similarity import sentence_bleu

_FEWEST = 4  # responses that make a self-BLEU


class _DistinctGap(CorpusPairMetric):
    unit = "rate"
    direction = "none"
    perfect = 0.0
    size: ClassVar[int]

    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """None where no pair has n words each."""
        ours, its = [], []
        for one, other in zip(student, teacher, strict=True):
            pair = (one.text.split(), other.text.split())
            size = min(map(len, pair))
            ours.append(pair[0][:size])
            its.append(pair[1][:size])
        student_share, teacher_share = (distinct_share(side, self.size) for side in (ours, its))
        if student_share is None or teacher_share is None:
            return None
        return student_share - teacher_share


@metrics.register("distinct_1_gap")
class Distinct1Gap(_DistinctGap):
    """Distinct words over all words, less the teacher's."""

    name = "distinct_1_gap"
    size = 1


@metrics.register("distinct_2_gap")
class Distinct2Gap(_DistinctGap):
    """Distinct pairs of words over all pairs, less the teacher's."""

    name = "distinct_2_gap"
    size = 2


@metrics.register("distinct_3_gap")
class Distinct3Gap(_DistinctGap):
    """Distinct 3-grams of words over all 3-grams, less the teacher's."""

    name = "distinct_3_gap"
    size = 3


@metrics.register("distinct_4_gap")
class Distinct4Gap(_DistinctGap):
    """Distinct 4-grams of words over all 4-grams, less the teacher's."""

    name = "distinct_4_gap"
    size = 4


@metrics.register("self_bleu_gap")
class SelfBleuGap(PromptPairMetric):
    """Self-BLEU less the teacher's; positive where the student is less varied."""

    name = "self_bleu_gap"
    undefined = "needs four seeds"
    unit = "points"
    direction = "none"
    perfect = 0.0

    def score(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """-100 to 100, None with fewer than four responses of either."""
        count = min(len(student), len(teacher))
        if count < _FEWEST:
            return None
        return self_bleu(student[:count]) - self_bleu(teacher[:count])


def self_bleu(answers: Sequence[Answer]) -> float:
    """The mean BLEU of each of two or more responses against the others, 0 to 100."""
    texts = [answer.text for answer in answers]
    others = [texts[:index] + texts[index + 1 :] for index in range(len(texts))]
    scores = [sentence_bleu(text, rest) for text, rest in zip(texts, others, strict=True)]
    return sum(scores) / len(scores)

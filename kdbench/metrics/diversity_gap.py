"""Diversity of the student's responses minus that of its teacher's.

Metric: Distinct-n over all responses of a seed, on equal amounts of text because it falls as text
        grows: each response and the teacher's response to the same prompt are cut to the shorter
        one's number of whitespace-separated words. Self-BLEU of a prompt's responses is the mean
        BLEU of each against all others; it needs four responses, and the same number of both
        models is compared. A student is less diverse than its teacher if the gap of Distinct-n is
        negative, or that of self-BLEU positive.
Source: Li et al. 2016 (arXiv 1510.03055); Zhu et al. 2018 (self-BLEU, arXiv 1802.01886).
"""

from collections.abc import Sequence
from typing import ClassVar

from kdbench.metrics import Answer, CorpusPairMetric, PromptPairMetric, metrics
from kdbench.metrics.distinct import distinct_share
from kdbench.metrics.similarity import sentence_bleu

_FEWEST = 4  # responses that self-BLEU needs


class _DistinctGap(CorpusPairMetric):
    by_default = False
    unit = "rate"
    direction = "none"
    perfect = 0.0
    size: ClassVar[int]

    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """Return the gap; None if in no pair both responses have n words."""
        student_texts, teacher_texts = [], []
        for answer, teacher_answer in zip(student, teacher, strict=True):
            words, teacher_words = answer.text.split(), teacher_answer.text.split()
            length = min(len(words), len(teacher_words))
            student_texts.append(words[:length])
            teacher_texts.append(teacher_words[:length])
        student_share = distinct_share(student_texts, self.size)
        teacher_share = distinct_share(teacher_texts, self.size)
        if student_share is None or teacher_share is None:
            return None
        return student_share - teacher_share


@metrics.register("distinct_1_gap")
class Distinct1Gap(_DistinctGap):
    """Share of distinct words among all words, minus the teacher's."""

    name = "distinct_1_gap"
    size = 1


@metrics.register("distinct_2_gap")
class Distinct2Gap(_DistinctGap):
    """Share of distinct word 2-grams among all, minus the teacher's."""

    name = "distinct_2_gap"
    size = 2


@metrics.register("distinct_3_gap")
class Distinct3Gap(_DistinctGap):
    """Share of distinct word 3-grams among all, minus the teacher's."""

    name = "distinct_3_gap"
    size = 3


@metrics.register("distinct_4_gap")
class Distinct4Gap(_DistinctGap):
    """Share of distinct word 4-grams among all, minus the teacher's."""

    name = "distinct_4_gap"
    size = 4


@metrics.register("self_bleu_gap")
class SelfBleuGap(PromptPairMetric):
    """Self-BLEU of a prompt's responses, minus the teacher's; positive if less diverse."""

    by_default = False
    name = "self_bleu_gap"
    undefined = "needs four seeds"
    unit = "points"
    direction = "none"
    perfect = 0.0

    def score(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """Return the gap, -100 to 100; None with fewer than four responses of either model."""
        count = min(len(student), len(teacher))
        if count < _FEWEST:
            return None
        return self_bleu(student[:count]) - self_bleu(teacher[:count])


def self_bleu(answers: Sequence[Answer]) -> float:
    """Return the mean BLEU of each response against the others, 0 to 100.

    Args:
        answers: Two or more responses to one prompt.
    """
    texts = [answer.text for answer in answers]
    others = [texts[:index] + texts[index + 1 :] for index in range(len(texts))]
    scores = [sentence_bleu(text, rest) for text, rest in zip(texts, others, strict=True)]
    return sum(scores) / len(scores)

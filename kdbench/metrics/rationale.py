"""Similarity of the student's rationale, the text around the final answer, to the teacher's.

Metric: BLEU and chrF of both responses after the last occurrence of the final answer is removed
        from each; points. Responses without a final answer, or with nothing else, do not count.
        Restricted to pairs where both are right, the metric compares style alone.
Source: `sentence_bleu_teacher` and `chrf_teacher`, which compare the whole text.
"""

import re
from abc import abstractmethod
from typing import ClassVar

from kdbench.metrics import Answer, PairMetric, metrics
from kdbench.metrics.answers import NO_ANSWERS
from kdbench.metrics.similarity import sentence_bleu, sentence_chrf


def rationale(answer: Answer) -> str | None:
    """Return the response without its final answer; None if it has none or nothing else."""
    if not answer.final:
        return None
    matches = list(re.finditer(rf"(?<!\w){re.escape(answer.final)}(?!\w)", answer.text))
    if not matches:
        return None
    start, stop = matches[-1].span()
    return (answer.text[:start] + answer.text[stop:]).strip() or None


class _Rationale(PairMetric):
    by_default = False
    unit = "points"
    undefined = NO_ANSWERS
    direction = "higher"
    both_right: ClassVar[bool]

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """Return 0 to 100; None if a rationale is missing or the pair does not count."""
        if self.both_right and not (student.right and teacher.right):
            return None
        text, teacher_text = rationale(student), rationale(teacher)
        if text is None or teacher_text is None:
            return None
        return self.similarity(text, teacher_text)

    @abstractmethod
    def similarity(self, student: str, teacher: str) -> float:
        """Compare two rationales, 0 to 100."""


@metrics.register("rationale_bleu")
class RationaleBleu(_Rationale):
    """BLEU against the teacher's response, with both final answers removed."""

    name = "rationale_bleu"
    both_right = False

    def similarity(self, student: str, teacher: str) -> float:
        """Return BLEU."""
        return sentence_bleu(student, [teacher])


@metrics.register("rationale_bleu_both_right")
class RationaleBleuBothRight(RationaleBleu):
    """BLEU against the teacher's response without the final answers, if both are right."""

    name = "rationale_bleu_both_right"
    both_right = True
    needs_reference = True


@metrics.register("rationale_chrf_both_right")
class RationaleChrfBothRight(_Rationale):
    """chrF against the teacher's response without the final answers, if both are right."""

    name = "rationale_chrf_both_right"
    both_right = True
    needs_reference = True

    def similarity(self, student: str, teacher: str) -> float:
        """Return chrF."""
        return sentence_chrf(student, teacher)

"""How like the teacher's reasoning the student's is, its final answer aside.

Metric: BLEU and chrF of what is left of a response once the last occurrence of its final answer is
        taken out, against the same of the teacher's; points. Responses without a final answer, or
        with nothing beside it, do not count. Where both are right, likeness is of style alone:
        what the answers share by being correct is out of both.
Source: `sentence_bleu_teacher` and `chrf_teacher`, which see the whole text.
"""

import re
from abc import abstractmethod
from typing import ClassVar

from kdbench.metrics import Answer, PairMetric, metrics
from kdbench.metrics.answers import NO_ANSWERS
from kdbench.metrics.similarity import sentence_bleu, sentence_chrf


def rationale(answer: Answer) -> str | None:
    """The response without its final answer, None where it has none or is nothing else."""
    if not answer.final:
        return None
    places = list(re.finditer(rf"(?<!\w){re.escape(answer.final)}(?!\w)", answer.text))
    if not places:
        return None
    start, stop = places[-1].span()
    return (answer.text[:start] + answer.text[stop:]).strip() or None


class _Rationale(PairMetric):
    unit = "points"
    undefined = NO_ANSWERS
    direction = "higher"
    both_right: ClassVar[bool]

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """0 to 100, None where a rationale is missing or the pair does not count."""
        if self.both_right and not (student.right and teacher.right):
            return None
        ours, its = rationale(student), rationale(teacher)
        return None if ours is None or its is None else self.likeness(ours, its)

    @abstractmethod
    def likeness(self, student: str, teacher: str) -> float:
        """Of two rationales, 0 to 100."""


@metrics.register("rationale_bleu")
class RationaleBleu(_Rationale):
    """BLEU against the teacher's response, final answers taken out."""

    name = "rationale_bleu"
    both_right = False

    def likeness(self, student: str, teacher: str) -> float:
        """BLEU."""
        return sentence_bleu(student, [teacher])


@metrics.register("rationale_bleu_both_right")
class RationaleBleuBothRight(RationaleBleu):
    """BLEU without the final answers, where both are right."""

    name = "rationale_bleu_both_right"
    both_right = True


@metrics.register("rationale_chrf_both_right")
class RationaleChrfBothRight(_Rationale):
    """chrF without the final answers, where both are right."""

    name = "rationale_chrf_both_right"
    both_right = True

    def likeness(self, student: str, teacher: str) -> float:
        """The chrF."""
        return sentence_chrf(student, teacher)

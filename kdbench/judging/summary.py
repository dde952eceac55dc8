"""From the questions about a task and their judgements to its metrics."""

from collections import Counter
from collections.abc import Sequence

from kdbench.judging.grades import Numbers, add_grades
from kdbench.judging.judgements import Judgement, Judgements
from kdbench.judging.preferences import add_preferences
from kdbench.judging.question import Order, Question
from kdbench.judging.reply import Kind
from kdbench.judging.subject import Subject


def add_numbers(
    numbers: Numbers,
    subject: Subject,
    kind: Kind,
    questions: Sequence[Question],
    known: Judgements,
) -> None:
    """Add the metrics of a task.

    Args:
        numbers: Where the metrics go.
        subject: What was judged.
        kind: What was asked.
        questions: The questions.
        known: Judgements of all of them.
    """
    final = {
        (question.document, question.seed, question.order): known.final(question)
        for question in questions
    }

    def rows(order: Order) -> dict[int, list[Judgement | None]]:
        return {
            seed: [final.get((document.id, seed, order)) for document in subject.documents]
            for seed in subject.answers
        }

    if kind == "pair":
        add_preferences(numbers, rows("given"), rows("swapped"), subject.words())
        return
    graded = {seed: [one for one in row if one] for seed, row in rows("given").items()}
    add_grades(numbers, graded, with_reference=kind == "score-reference")


def without_score(questions: Sequence[Question], known: Judgements) -> Counter[str]:
    """Count the questions whose judgement gives no score, by status."""
    finals = [known.final(one) for one in {one.key: one for one in questions}.values()]
    return Counter(final.status for final in finals if final and final.status != "scored")

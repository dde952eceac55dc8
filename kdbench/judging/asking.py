"""Asking a judge what is not stored yet."""

from collections.abc import Sequence

from kdbench.judging.judge import Judge
from kdbench.judging.judgements import TRIES, Judgements, judged, record_of
from kdbench.judging.question import Question
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress

_SYNCED = 64  # judgements after which the file is flushed to disk


def unanswered(questions: Sequence[Question], known: Judgements) -> list[Question]:
    """Return the questions to ask, each once, even if several samples share it."""
    unique = {question.key: question for question in questions}
    return [question for question in unique.values() if known.final(question) is None]


def ask(
    title: str, questions: Sequence[Question], judge: Judge, known: Judgements, file: LinesFile
) -> int:
    """Ask the judge, and store every reply as it comes.

    Args:
        title: Name of the task, for the progress.
        questions: Questions without a final judgement.
        judge: The judge.
        known: Judgements so far; the new ones are added.
        file: File of the judgements.

    Returns:
        Number of replies.

    Raises:
        InputError: Some questions got no reply; all others are stored.
    """
    replies = 0
    for number in range(1, TRIES + 1):
        pending = {
            question.key: question
            for question in questions
            if known.final(question) is None and len(known.tries(question)) == number - 1
        }
        asked = [(key, question.asked(number)) for key, question in pending.items()]
        if not asked:
            continue
        name = title if number == 1 else f"{title}, unread replies"
        with (
            file.appending() as lines,
            progress(name, len(asked), 0, "judgements", "judging") as advance,
        ):
            for key, reply in judge.ask(asked):
                judgement = judged(pending[key], number, reply)
                lines.add(record_of(judgement, pending[key], reply))
                known.add(judgement)
                replies += 1
                if replies % _SYNCED == 0:
                    lines.sync()
                advance()
            lines.sync()
    return replies

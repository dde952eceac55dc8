"""What judging has cost, for `run.json`."""

from collections.abc import Sequence
from typing import Any

from kdbench.judging.judge import Judge
from kdbench.judging.judgements import Judgements
from kdbench.judging.question import Question
from kdbench.judging.subject import Subject
from kdbench.store.folder import RunFolder
from kdbench.store.record import RunRecord


def record_cost(
    run: RunFolder,
    subject: Subject,
    judge: Judge,
    questions: Sequence[Question],
    known: Judgements,
) -> None:
    """Record the replies and tokens behind the metrics of a task, counted from what is stored.

    Args:
        run: The judged run.
        subject: What was judged.
        judge: The judge.
        questions: The questions.
        known: Judgements of all of them.
    """
    unique = {question.key: question for question in questions}
    replies = [judgement for question in unique.values() for judgement in known.tries(question)]
    cost = {
        "judge": judge.name,
        "address": judge.address,
        "models": sorted({reply.model for reply in replies if reply.model}),
        "questions": len(unique),
        "replies": len(replies),
        "prompt_tokens": sum(reply.prompt_tokens or 0 for reply in replies),
        "reply_tokens": sum(reply.reply_tokens or 0 for reply in replies),
    }
    recorded: dict[str, Any] = run.read_checked_run().get("judging") or {}
    of_task = {**recorded.get(subject.task.name, {}), subject.group: cost}
    RunRecord(run).note(judging={**recorded, subject.task.name: of_task})

"""The judgements of a run: every reply of a judge is a line of `samples/judge/<task>.jsonl`.

A line is written as soon as its reply comes, and is never asked for again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.judging.question import Question
from kdbench.judging.reply import SCORES, Kind, Reply, read_scores
from kdbench.store.folder import RunFolder
from kdbench.store.schema import (
    COUNT,
    TEXT,
    FieldError,
    Rule,
    check_fields,
    each,
    is_number,
    one_of,
)
from kdbench.system.files import LinesFile

TRIES = 2
"""How often a question is asked whose reply cannot be read; the second time it insists."""

_STATUSES = ("scored", "unparsable", "refused", "too long")
_SCORE = Rule("a number from 0 to 10", lambda value: is_number(value) and 0 <= value <= 10)
_FIELDS = {
    "key": TEXT,
    "kind": one_of(*SCORES),
    "try": COUNT,
    "status": one_of(*_STATUSES),
    "scores": each(_SCORE, "scores").or_null(),
    "prompt_tokens": COUNT.or_null(),
    "reply_tokens": COUNT.or_null(),
    "model": TEXT.or_null(),
}


@dataclass(frozen=True)
class Judgement:
    """One reply of a judge, as it was read.

    Attributes:
        key: Key of the question.
        kind: What was asked.
        number: 1 for the first reply to the question, 2 for the second.
        status: `scored`, `unparsable`, `refused` or `too long`.
        scores: The scores in the order shown, or the preference; None unless `scored`.
        model: Name under which the server replied; None if unknown.
        prompt_tokens: Number of tokens of the question; None if unknown.
        reply_tokens: Number of tokens of the reply; None if unknown.
    """

    key: str
    kind: Kind
    number: int
    status: str
    scores: tuple[float, ...] | None
    model: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether the question need not be asked again."""
        return self.status != "unparsable" or self.number >= TRIES


class Judgements:
    """The judgements of a task, by key of the question.

    Args:
        files: Files to read; later ones, of the opponent's run, may hold the same pairs.

    Raises:
        InputError: A line is no judgement.
    """

    def __init__(self, files: Iterable[LinesFile]):
        self._all: dict[tuple[str, Kind], list[Judgement]] = {}
        for file in files:
            for number, record in enumerate(file.read(), start=1):
                self.add(_judgement(record, f"{file.path}:{number}"))

    def add(self, judgement: Judgement) -> None:
        """Add a judgement; of several with one key and number, the first counts."""
        known = self._all.setdefault((judgement.key, judgement.kind), [])
        if judgement.number not in {other.number for other in known}:
            known.append(judgement)
            known.sort(key=lambda one: one.number)

    @property
    def replies(self) -> int:
        """Number of judgements."""
        return sum(map(len, self._all.values()))

    def tries(self, question: Question) -> list[Judgement]:
        """Return all judgements of a question, in order."""
        return self._all.get((question.key, question.kind), [])

    def final(self, question: Question) -> Judgement | None:
        """Return the judgement that counts; None if the question has to be asked."""
        tries = self.tries(question)
        return tries[-1] if tries and tries[-1].is_final else None


def judgements_file(run: RunFolder, task: str) -> LinesFile:
    """Return the file of a task's judgements."""
    return LinesFile(run.path / "samples" / "judge" / f"{task}.jsonl")


def judged(question: Question, number: int, reply: Reply) -> Judgement:
    """Read a reply.

    Args:
        question: The question.
        number: 1 for its first reply, 2 for its second.
        reply: The reply.
    """
    scores = None if reply.declined else read_scores(question.kind, reply.text)
    status = reply.declined or ("unparsable" if scores is None else "scored")
    return Judgement(
        question.key,
        question.kind,
        number,
        status,
        scores,
        reply.model,
        reply.prompt_tokens,
        reply.reply_tokens,
    )


def record_of(judgement: Judgement, question: Question, reply: Reply) -> dict[str, Any]:
    """Return the line of a judgement, with what it is about and the reply as it came."""
    return {
        "key": judgement.key,
        "try": judgement.number,
        "status": judgement.status,
        "scores": None if judgement.scores is None else list(judgement.scores),
        "model": judgement.model,
        "prompt_tokens": judgement.prompt_tokens,
        "reply_tokens": judgement.reply_tokens,
        "id": question.document,
        "seed": question.seed,
        "kind": question.kind,
        "order": question.order,
        "judge": question.judge,
        "reply": reply.text,
    }


def _judgement(record: Mapping[str, Any], place: str) -> Judgement:
    try:
        check_fields(record, _FIELDS)
    except FieldError as fault:
        raise InputError(f"{place}: not a judgement: {fault}") from None
    scores = record["scores"]
    if (scores is None) != (record["status"] != "scored"):
        raise InputError(f"{place}: not a judgement: scores and status contradict each other")
    if scores is not None and len(scores) != SCORES[record["kind"]]:
        raise InputError(
            f"{place}: not a judgement: {len(scores)} scores are not those of its kind"
        )
    return Judgement(
        record["key"],
        record["kind"],
        record["try"],
        record["status"],
        None if scores is None else tuple(map(float, scores)),
        record["model"],
        record["prompt_tokens"],
        record["reply_tokens"],
    )


def files_of(task: str, *runs: Path | None) -> list[LinesFile]:
    """Return the files of a task's judgements in several runs."""
    return [judgements_file(RunFolder(run), task) for run in runs if run is not None]

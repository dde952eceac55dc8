"""`kdbench judge --dry-run`: what a judge would be asked; nothing is asked or written."""

from collections.abc import Iterator

from kdbench.config import given_facts
from kdbench.judging.asking import unanswered
from kdbench.judging.find import find_run
from kdbench.judging.judge import Judge
from kdbench.judging.judgements import Judgements
from kdbench.judging.settings import JudgeSettings
from kdbench.judging.subject import Subject
from kdbench.judging.work import JudgeWork
from kdbench.system.outline import Fact, Section, excerpt, plain_fields
from kdbench.text import counted

_SHOWN = 2  # questions of each task


def plan_judging(settings: JudgeSettings) -> list[Section]:
    """What `judge` would do: the run and its samples are read and checked, and the judge is found.

    Raises:
        InputError: As for `judge`, but for what only the judge's replies show.
    """
    work = JudgeWork(settings, find_run(settings.run, "run", settings.results))
    subjects = work.subjects(work.load_tasks())
    sections = [Section(s.task.name, tuple(_subject_facts(work, s))) for s in subjects]
    facts = (*given_facts(settings), *judge_facts(work.judge), Fact("run", str(work.run.path)))
    return [Section("kdbench judge: a dry run, which asks and writes nothing", facts), *sections]


def judge_facts(judge: Judge) -> Iterator[Fact]:
    """Who judges, and with which settings."""
    yield Fact("judge", judge.name)
    if judge.address:
        yield Fact("server", judge.address)
    yield Fact("requests", plain_fields(judge.identity["settings"]))


def _subject_facts(work: JudgeWork, subject: Subject) -> Iterator[Fact]:
    prompt, questions = work.prompt(subject), work.questions(subject)
    if subject.opponent:
        yield Fact("against", subject.opponent["name"])
    yield Fact("prompt", f"{prompt.name}, sha256 {prompt.sha256[:12]}")
    different = len({question.key for question in questions})
    missing = len(unanswered(questions, Judgements(subject.files)))
    yield Fact(
        "questions",
        f"{missing} to ask, {different - missing} of {different} judged before; "
        f"{counted(len(subject.documents), 'document')} × {counted(len(subject.answers), 'seed')}",
    )
    for number, question in enumerate(questions[:_SHOWN], start=1):
        order = f", order {question.order}" if subject.opponent else ""
        about = f"document {question.document}, seed {question.seed}{order}"
        yield Fact(f"question {number}", about)
        yield Fact("text", excerpt(question.text), is_text=True)

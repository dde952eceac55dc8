"""`kdbench judge --dry-run`: what a judge would be asked, without asking it."""

from kdbench.config import given_facts
from kdbench.judging.asking import unanswered
from kdbench.judging.find import find_run
from kdbench.judging.judgements import Judgements
from kdbench.judging.settings import JudgeSettings
from kdbench.judging.work import JudgeWork
from kdbench.system.outline import Fact, Section, excerpt


def plan_judging(settings: JudgeSettings) -> list[Section]:
    """What `judge` would ask: the number of questions about each task, and the first one.

    Raises:
        InputError: As for `judge`, but for what only the judge itself shows.
    """
    work = JudgeWork(settings, find_run(settings.run, "run", settings.results))
    subjects = work.subjects(work.load_tasks())
    facts = [*given_facts(settings), Fact("judge", work.judge.name)]
    sections = [Section("kdbench judge: a dry run, which asks and writes nothing", tuple(facts))]
    for subject in subjects:
        questions = work.questions(subject)
        count = len({question.key for question in questions})
        missing = len(unanswered(questions, Judgements(subject.files)))
        known = count - missing
        asked = [Fact("questions", f"{missing} to ask, {known} of {count} judged before")]
        asked += [Fact("first", excerpt(question.text), is_text=True) for question in questions[:1]]
        sections.append(Section(subject.task.name, tuple(asked)))
    return sections

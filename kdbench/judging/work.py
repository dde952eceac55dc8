"""A stored run is judged: what is not stored is asked, and the results get the judge's metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kdbench.config import EvalSettings
from kdbench.config.judge import REFERENCE, TEACHER
from kdbench.errors import InputError
from kdbench.judging.asking import ask, unanswered
from kdbench.judging.find import find_judge, find_opponent, find_run
from kdbench.judging.grades import VERSION, Numbers
from kdbench.judging.judge import Judge, digest
from kdbench.judging.judgements import Judgements, judgements_file
from kdbench.judging.prompt import JudgePrompt, bundled_prompt, read_prompt
from kdbench.judging.question import Question
from kdbench.judging.record import record_cost
from kdbench.judging.settings import JudgeSettings, of_evaluation
from kdbench.judging.subject import Subject, load_subject
from kdbench.judging.summary import add_numbers, without_score
from kdbench.measuring.judged import without_group
from kdbench.measuring.scoring import origin
from kdbench.measuring.stored_protocol import ExternalProtocol
from kdbench.store.packed_folder import run_with_samples
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.store.shown import ShownRun
from kdbench.system.console import report_progress
from kdbench.system.files import json_text
from kdbench.system.locks import only_here
from kdbench.task import Task, check_installed, load_tasks
from kdbench.text import counted


@dataclass(frozen=True, repr=False)
class JudgedRun(ShownRun):
    """The outcome of `judge`.

    Attributes:
        run: Folder of the run.
        results: Results by task, with the judge's metrics.
        asked: Number of replies that this call got.
        stored: Number of judgements that were stored before and used again.
        faults: Number of failed tries that a later one made good, by kind.
    """

    run: Path
    results: Mapping[str, TaskResult]
    asked: int = field(compare=False)
    stored: int = field(compare=False)
    faults: Mapping[str, int] = field(compare=False)


def judge(settings: JudgeSettings) -> JudgedRun:
    """Judge a stored run.

    Raises:
        InputError: Run, judge, prompt, data or settings have a fault that the user can fix, or the
            judge did not reply to all questions.
    """
    work = JudgeWork(settings, find_run(settings.run, "run", settings.results))
    return work.finish(work.load_tasks())


def judge_of_evaluation(settings: EvalSettings, run: Path, finished: bool) -> "JudgeWork":
    """Prepare the judging of an evaluation, before hours of generation.

    Args:
        settings: Keys of the evaluation, with `judge=`.
        run: Folder of its run, which may not exist yet.
        finished: Whether the run has all results, so that the judge may not be needed.

    Raises:
        InputError: The judge cannot be asked, or its prompt or the run to compare with is wrong.
    """
    work = JudgeWork(of_evaluation(settings, run), run)
    if settings.judge_against not in (None, REFERENCE, TEACHER):
        find_run(settings.judge_against, "judge_against", settings.results, work.record)
    if not finished:
        work.judge.check()
    return work


def tasks_to_judge(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that are answered with responses.

    Raises:
        InputError: There are none.
    """
    answered = [task for task in tasks if task.generates]
    if not answered:
        raise InputError("judge=: the tasks have options, not responses to judge")
    return answered


class JudgeWork:
    """A run and the judge that judges it.

    Args:
        settings: Who judges, and how.
        path: Folder of the run.

    Attributes:
        judge: The judge.
        run: The run.
        record: Content of its `run.json`; empty if it has not begun.

    Raises:
        InputError: Judge or prompt have a fault.
    """

    def __init__(self, settings: JudgeSettings, path: Path):
        self._settings, self.run = settings, run_with_samples(path, "run")
        self._compares = settings.judge_against is not None
        self._given_prompt = (
            read_prompt(settings.judge_prompt, self._compares) if settings.judge_prompt else None
        )
        self.judge: Judge = find_judge(settings)
        self._asked = self._stored = 0
        self._without_score: Counter[str] = Counter()

    @property
    def record(self) -> Mapping[str, Any]:
        """Content of the run's `run.json`; empty if the run has not begun."""
        return self.run.read_checked_run()

    def load_tasks(self) -> list[Task]:
        """Return the tasks of the settings, by default all of the run."""
        record = self.run.read_whole_run()
        names = self._settings.tasks or tuple(record["tasks"])
        if not self._settings.tasks:
            check_installed(names, f"{self.run.path / 'run.json'}", "tasks=PATH")
        settings = self._settings
        return load_tasks(names, settings.data, record["limit"], settings.run_code)

    def finish(self, tasks: Sequence[Task]) -> JudgedRun:
        """Judge what is missing of the tasks, and store the metrics.

        Tasks that are scored by likelihood have no responses and are left out.

        Raises:
            InputError: The run is incomplete, its data have changed, no task has responses, or the
                judge did not reply to all questions.
        """
        subjects = self.subjects(tasks)
        try:
            results = {subject.task.name: self._finish(subject) for subject in subjects}
        finally:
            self.judge.release()
            if self._asked or self._stored:
                report_progress(self._counts())
        return JudgedRun(
            self.run.path, results, self._asked, self._stored, Counter(self.judge.faults)
        )

    def subjects(self, tasks: Sequence[Task]) -> list[Subject]:
        """Read the responses of the tasks that have some, and what they are compared with.

        Raises:
            InputError: The run is incomplete, its data have changed, or no task has responses.
        """
        answered = tasks_to_judge(tasks)
        opponent = find_opponent(self._settings, self.run, self.run.read_whole_run())
        return [self._subject(task, opponent) for task in answered]

    def questions(self, subject: Subject) -> list[Question]:
        """Return what the judge is asked about a task."""
        prompt = self.prompt(subject)
        return list(subject.questions(prompt, digest(self._decisive(prompt))))

    def _decisive(self, prompt: JudgePrompt) -> dict[str, Any]:
        """What decides a judgement; names of folders and files do not."""
        return {"judge": dict(self.judge.identity), "prompt": prompt.sha256}

    def _subject(self, task: Task, opponent: Path | None) -> Subject:
        stored = self.run.read_task(task.name)
        if stored is None:
            raise InputError(
                f"{self.run.path}: has no result for '{task.name}'; finish the run with kdbench "
                "eval first"
            )
        seeds = tuple(stored.fingerprint.get("protocol", {}).get("seeds", ()))
        protocol = ExternalProtocol("external", seeds=seeds)
        RunRecord(self.run).check_same_texts(task.name, origin(task, protocol))
        if not seeds or stored.documents["id"] != [document.id for document in task.documents]:
            raise InputError(
                f"{self.run.path / task.name}.json: not the result of these documents, or without "
                f"seeds; kdbench score run={self.run.path} makes it again"
            )
        settings = self._settings
        return load_subject(
            self.run,
            task,
            stored,
            settings.judge_seeds or seeds,
            settings.judge_limit,
            opponent,
            compares=self._compares,
        )

    def prompt(self, subject: Subject) -> JudgePrompt:
        """Return the template of the questions about a task.

        Raises:
            InputError: The given template shows references that documents do not have.
        """
        if self._compares:
            return self._given_prompt or bundled_prompt("pair")
        if self._given_prompt is not None:
            if self._given_prompt.kind == "score-reference" and not subject.has_references:
                raise InputError(
                    f"judge_prompt={self._settings.judge_prompt}: shows a reference, but documents "
                    f"of '{subject.task.name}' have none; use a template with {{{{ answer }}}}"
                )
            return self._given_prompt
        return bundled_prompt("score-reference" if subject.has_references else "score")

    def _finish(self, subject: Subject) -> TaskResult:
        prompt, questions = self.prompt(subject), self.questions(subject)
        decisive = self._decisive(prompt)
        known = self._all_judged(subject, questions)
        numbers = Numbers(
            f"{VERSION} {self.judge.name} {digest({**decisive, **subject.identity})[:8]}",
            len(subject.task.documents),
            subject.suffix,
        )
        add_numbers(numbers, subject, prompt.kind, questions, known)
        judge = {"name": self.judge.name, **self.judge.identity}
        group = {"judge": judge, "prompt": prompt.identity, **subject.identity}
        result = self._store(subject, numbers, group)
        record_cost(self.run, subject, self.judge, questions, known)
        self._without_score.update(without_score(questions, known))
        return result

    def _all_judged(self, subject: Subject, questions: Sequence[Question]) -> Judgements:
        """Return judgements of all questions; what is missing is asked under a lock."""
        name = subject.task.name
        known = Judgements(subject.files)
        missing = unanswered(questions, known)
        self._stored += len({question.key for question in questions}) - len(missing)
        if not missing:
            return known
        lock = self.run.path / "samples" / f".{name}.judge.lock"
        busy = f"{lock}: another kdbench process already judges '{name}'; wait for it"
        with only_here(lock, busy):
            self.judge.check()
            known = Judgements(subject.files)
            missing = unanswered(questions, known)
            file = judgements_file(self.run, name)
            before = known.replies
            try:
                ask(f"{name}, judged by {self.judge.name}", missing, self.judge, known, file)
            finally:
                self._asked += known.replies - before
        return known

    def _store(self, subject: Subject, numbers: Numbers, group: Mapping[str, Any]) -> TaskResult:
        """Put the metrics into the task's result; an equal result is not written again."""
        stored = self.run.read_task(subject.task.name) or subject.result
        new = _with_group(stored, subject.group, numbers, group)
        if json_text(asdict(new)) == json_text(asdict(stored)):
            return stored
        with self.run.lock(subject.task.name, wait=True):
            stored = self.run.read_task(subject.task.name) or subject.result
            return self.run.write_task(_with_group(stored, subject.group, numbers, group))

    def _counts(self) -> str:
        counts = [counted(self._asked, "reply", "replies"), f"{self._stored} judged before"]
        counts += [f"{count} {status}" for status, count in sorted(self._without_score.items())]
        text = f"judge {self.judge.name}: {', '.join(counts)}"
        faults = self.judge.faults
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
        return f"{text}; {faults.total()} failed tries made good ({kinds})" if faults else text


def _with_group(
    stored: TaskResult, name: str, numbers: Numbers, group: Mapping[str, Any]
) -> TaskResult:
    kept = without_group(stored, name)
    return replace(
        kept,
        metrics={**kept.metrics, **numbers.metrics},
        documents={**kept.documents, **numbers.columns},
        judge={**kept.judge, name: {**group, "metrics": sorted(numbers.metrics)}},
    )

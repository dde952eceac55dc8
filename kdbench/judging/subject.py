"""What is judged of a task: its responses, and what they are compared with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.config.judge import REFERENCE
from kdbench.errors import InputError
from kdbench.judging.judgements import files_of
from kdbench.judging.prompt import JudgePrompt
from kdbench.judging.question import AnswersOfRun, Question, questions_about
from kdbench.measuring.scoring import answers_of, check_complete
from kdbench.metrics import Answer
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import run_with_samples
from kdbench.store.results import TaskResult
from kdbench.store.samples import Samples, read_samples
from kdbench.system.files import LinesFile
from kdbench.task import Document, Task


@dataclass(frozen=True)
class Subject:
    """The responses of a task to judge.

    Attributes:
        task: The task.
        result: Its stored result.
        answers: Responses to judge, by seed and in document order.
        documents: Documents to judge, from the start of the task.
        others: For pairs, the texts to compare with, by seed and in document order; None if the
            responses are graded.
        opponent: For pairs, name of the opponent, and of its run if it has one; None if the
            responses are graded.
        identity: What decides the numbers besides judge and prompt.
        files: Files that may hold judgements of these responses.
    """

    task: Task
    result: TaskResult = field(repr=False)
    answers: AnswersOfRun = field(repr=False)
    documents: Sequence[Document] = field(repr=False)
    others: Mapping[int, Sequence[str]] | None = field(repr=False)
    opponent: Mapping[str, str] | None
    identity: Mapping[str, Any]
    files: Sequence[LinesFile]

    @property
    def has_references(self) -> bool:
        """Whether every document to judge has a reference."""
        return all(document.references for document in self.documents)

    @property
    def suffix(self) -> str:
        """End of the metrics' names: nothing, or the opponent's name."""
        return f"@{self.opponent['name']}" if self.opponent else ""

    @property
    def group(self) -> str:
        """Name of this way of judging in the result."""
        return f"pair{self.suffix}" if self.opponent else "score"

    def questions(self, prompt: JudgePrompt, identity: str) -> Iterator[Question]:
        """Yield the questions to the judge.

        Args:
            prompt: What the judge is asked.
            identity: Hash of judge and prompt.
        """
        return questions_about(self.documents, self.answers, self.others, prompt, identity)

    def words(self) -> dict[int, np.ndarray]:
        """Words of the response and of the text compared with, by seed, shape (documents, 2)."""
        return {
            seed: np.array(
                [
                    (len(response.text.split()), len(other.split()))
                    for response, other in zip(self.answers[seed], others, strict=True)
                ],
                dtype=np.float64,
            )
            for seed, others in (self.others or {}).items()
        }


def load_subject(
    run: RunFolder,
    task: Task,
    result: TaskResult,
    seeds: Sequence[int],
    limit: int | None,
    opponent: Path | None,
    *,
    compares: bool,
) -> Subject:
    """Read the responses of a task, and those to compare them with.

    Args:
        run: Run to judge.
        task: Task to judge.
        result: Its stored result.
        seeds: Seeds of the samples to judge.
        limit: Number of documents to judge; None for all.
        opponent: Folder of the run to compare with; None for the references.
        compares: Whether the responses are compared, not graded.

    Raises:
        InputError: Samples or references are missing, or the opponent answered other prompts.
    """
    documents = task.documents[:limit]
    answers = _answers(run, task, seeds, len(documents))
    identity: dict[str, Any] = {"documents": len(documents), "seeds": list(seeds)}
    others: Mapping[int, Sequence[str]] | None = None
    against: dict[str, str] | None = None
    if compares and opponent is None:
        against, others = {"name": REFERENCE}, _references(task, answers)
    elif opponent is not None:
        other = run_with_samples(opponent, "judge_against")
        against = {"name": other.read_whole_run()["model"]["name"], "run": opponent.resolve().name}
        others = _texts(other, task, result, seeds, len(documents))
    if against is not None:
        identity["against"] = against
    files = files_of(task.name, run.path, opponent)
    return Subject(task, result, answers, documents, others, against, identity, files)


def _answers(
    run: RunFolder, task: Task, seeds: Sequence[int], documents: int
) -> dict[int, list[Answer]]:
    samples = _read(run, task.name)
    stored = {seed for _, seed in samples}
    for seed in seeds:
        if seed not in stored:
            raise InputError(
                f"judge_seeds={seed}: {run.path} has no samples of '{task.name}' with this seed; "
                f"it has {','.join(map(str, sorted(stored)))}"
            )
    check_complete(task, seeds, samples)
    return {seed: row[:documents] for seed, row in answers_of(task, seeds, samples).items()}


def _read(run: RunFolder, task: str) -> Samples:
    file = run.lines(task)
    if not file.path.exists():
        raise InputError(f"{file.path}: there are no samples to judge")
    return read_samples(file)


def _references(task: Task, answers: AnswersOfRun) -> dict[int, list[str]]:
    """The first reference of each document, for each seed."""
    for row in answers.values():
        for document, answer in zip(task.documents, row, strict=False):
            if not answer.references:
                raise InputError(
                    f"judge_against=reference: document '{document.id}' of '{task.name}' has no "
                    "reference"
                )
    return {seed: [answer.references[0] for answer in row] for seed, row in answers.items()}


def _texts(
    run: RunFolder, task: Task, result: TaskResult, seeds: Sequence[int], documents: int
) -> dict[int, list[str]]:
    """The opponent's responses by seed of the judged run.

    A seed that the opponent lacks is compared with another of its seeds, in turn.
    """
    other = run.read_task(task.name)
    if other is None:
        raise InputError(f"{run.path}: has no result for '{task.name}' to compare with")
    for key in ("data_sha256", "prompts_sha256"):
        if other.fingerprint.get(key) != result.fingerprint.get(key):
            raise InputError(
                f"{run.path}: answered other prompts of '{task.name}' ({key} differs), so the "
                "responses cannot be compared"
            )
    own = list(other.fingerprint.get("protocol", {}).get("seeds", ()))
    if not own:
        raise InputError(f"{run.path}: does not record its seeds")
    paired = {
        seed: seed if seed in own else own[place % len(own)] for place, seed in enumerate(seeds)
    }
    by_seed = _answers(run, task, tuple(dict.fromkeys(paired.values())), documents)
    return {seed: [answer.text for answer in by_seed[of]] for seed, of in paired.items()}

"""The options of a task's documents: read from disk, and measured where they are missing."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Facts
from kdbench.generate.prompts import prompt_text
from kdbench.measuring.asked import asked_options, is_stored
from kdbench.measuring.kept import same_scores, with_teacher_of
from kdbench.measuring.likelihood.answers import (
    Option,
    OptionAnswer,
    OptionAnswers,
    answer_record,
    by_document,
    read_answer,
)
from kdbench.measuring.likelihood.results import option_metrics, score_options
from kdbench.measuring.likelihood.scorers import AskedText, Scorer, scorer_of
from kdbench.measuring.loading import LazyBackend
from kdbench.measuring.scoring import fingerprint, origin
from kdbench.protocol import Protocol
from kdbench.store.folder import RunFolder
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.system.console import note_once
from kdbench.system.progress import progress
from kdbench.task import Document, Task, gold_options, make_requests
from kdbench.views import batches_by_length
from kdbench.views.chat import Turn


def options_name(task: str) -> str:
    """Return the name of the file of a task's options, for `RunFolder.lines`."""
    return f"{task}.options"


class OptionMeasuring:
    """Measures the missing options of a run.

    Args:
        run: Folder of the run.
        protocol: Protocol of the run: how prompts are asked. Lengths, sampling and seeds do not
            matter here.
        backend: Backend whose model is asked.
        identity: Function that returns what a new `run.json` records, given the backend's facts.
        shard: Part of the documents to measure, as `I/N`; None for all.
        wait: Whether to wait for another process that measures the same documents.

    Attributes:
        measured: Number of documents that this call measured.
    """

    def __init__(
        self,
        run: RunFolder,
        protocol: Protocol,
        backend: LazyBackend,
        identity: Callable[[Facts], Mapping[str, Any]],
        shard: str | None,
        wait: bool,
    ):
        self.run, self.protocol, self.backend = run, protocol, backend
        self.measured = 0
        self._record = RunRecord(run)
        self._identity, self._shard, self._wait = identity, shard, wait

    def stored(self, task: Task) -> OptionAnswers:
        """Return the stored answers of a task, those of all shards included."""
        wanted = {document.id for document in task.documents}
        name = options_name(task.name)
        answers = []
        for file in [self.run.lines(name), *self.run.shard_files(name)]:
            for number, record in enumerate(file.read(), start=1):
                answer = read_answer(record, f"{file.path}:{number}")
                if answer.document in wanted:
                    answers.append(answer)
        return by_document(answers)

    def finish(self, task: Task) -> TaskResult | None:
        """Measure and score what is missing of a task; return None while other shards are missing.

        Raises:
            InputError: As for `complete`, or the scoring of the task fails.
        """
        result = self.run.read_task(task.name)
        lines = self.run.lines(options_name(task.name))
        damaged = result is not None and lines.is_damaged()
        gone = lines.path.exists() and self.is_incomplete(task)
        is_current = (
            result is not None
            and result.fingerprint == fingerprint(task, self.protocol)
            and all(metric.is_current(result.metrics) for metric in option_metrics(task))
        )
        if is_current and not damaged and not gone:
            self._repair_prompts(task)
            return result
        if damaged:
            lines.repair()
        self.complete(task)
        with self.run.lock(task.name, wait=self._wait or self._shard is not None):
            return self._score(task)

    def restored(self, task: Task) -> OptionAnswers:
        """Return the answers of a task, asked again if only its results were kept."""
        if self.is_incomplete(task):
            self.complete(task)
            with self.run.lock(task.name, wait=self._wait or self._shard is not None):
                self._score(task)
        return self.stored(task)

    def _score(self, task: Task) -> TaskResult | None:
        answers, name = self.stored(task), options_name(task.name)
        if len(answers) < len(task.documents):
            return None
        cut = self._record.task(task.name).get("cut_prompts")
        result, scores = score_options(task, self.protocol, answers, cut)
        old = self.run.read_task(task.name)
        if old is not None and same_scores(old, result):
            result = with_teacher_of(result, old)
        self._record.rescore(task.name, origin(task, self.protocol))
        self.run.lines(name).replace(answer_record(answers[d], scores[d]) for d in scores)
        for shard in self.run.shard_files(name):
            shard.path.unlink()
        return self.run.write_task(result)

    def complete(self, task: Task) -> None:
        """Measure the missing documents of this shard of a task.

        Raises:
            InputError: The model or a document is bad, stored answers are those of different
                prompts, or another process measures the same documents.
        """
        with self.run.lock(self._file_name(task), wait=self._wait):
            self._check_origin(task)
            if self.is_incomplete(task):
                self._measure(task)

    def is_incomplete(self, task: Task) -> bool:
        """Whether a document of this shard of a task is missing."""
        return self.missing(task) > 0

    def missing(self, task: Task) -> int:
        """Return the number of documents of this shard of a task that are missing."""
        stored = self.stored(task)
        return sum(document.id not in stored for document in self._documents(task))

    def _repair_prompts(self, task: Task) -> None:
        """Store what a finished task asked again if the file is damaged."""
        if not self.run.has_prompts(task.name):
            return
        with suppress(InputError):
            if is_stored(self.run, task):
                return
        self._keep_prompts(task, asked_requests(task, self.protocol, self.backend.tokenizer()))

    def _keep_prompts(self, task: Task, asked: Mapping[str, Sequence[AskedText]]) -> None:
        self.run.write_prompts(task.name, asked_options(task, asked))

    def _check_origin(self, task: Task) -> None:
        self._record.check_same_texts(task.name, origin(task, self.protocol))
        if not self._record.task(task.name) and self.stored(task):
            raise InputError(
                f"{self.run.path}: has options of '{task.name}', but run.json does not record "
                "their prompts; delete the folder, or restore run.json"
            )

    @property
    def doing(self) -> str:
        """What the progress of the measurement says."""
        return f"{self.run.path.parent.name} scoring options"

    def _measure(self, task: Task) -> None:
        done = set(self.stored(task))
        backend = self.backend.get()
        scorer = scorer_of(backend, self.protocol)
        asked = asked_requests(task, self.protocol, backend.tokenizer)
        documents = self._documents(task)
        lengths, cut = _lengths(task, documents, asked, scorer)
        identity = self._identity(backend.facts())
        present = sum(document.id in done for document in documents)
        self._record.begin(
            task.name, origin(task, self.protocol), identity, backend.batch_size, cut
        )
        self._keep_prompts(task, asked)
        with (
            self.run.lines(self._file_name(task)).appending() as file,
            progress(task.name, len(documents), present, "documents", self.doing) as advance,
        ):
            for batch in batches_by_length(documents, lengths):
                if all(document.id in done for document in batch):
                    continue
                # The whole batch, so that a resumed run rounds as an undisturbed one does.
                start, made = time.monotonic(), 0
                answers = _answers(task, batch, asked, scorer)
                for answer in answers:
                    if answer.document not in done:
                        file.add(answer_record(answer))
                        advance()
                        made += 1
                file.sync()
                self.measured += made
                self._record.add_timing(task.name, made, 0, time.monotonic() - start)

    def _documents(self, task: Task) -> Sequence[Document]:
        if self._shard is None:
            return task.documents
        index, count = map(int, self._shard.split("/"))
        return task.documents[index::count]

    def _file_name(self, task: Task) -> str:
        name = options_name(task.name)
        return name if self._shard is None else f"{name}.shard-{self._shard.replace('/', '-of-')}"


def asked_requests(
    task: Task, protocol: Protocol, tokenizer: Any
) -> dict[str, Sequence[AskedText]]:
    """Return the requests of each document: plain, or in the chat template of `prompt=chat`.

    Args:
        task: Task with the documents.
        protocol: Protocol with the form of the prompt.
        tokenizer: Tokenizer with the chat template.

    Raises:
        InputError: There is no chat template, or it fails.
    """
    ids = [document.id for document in task.documents]
    if protocol.prompt == "task":
        return {document.id: document.requests for document in task.documents}
    if tokenizer is None:
        raise InputError(
            f"task '{task.name}': its options are asked as text, and the backend has no tokenizer "
            "to render the chat template; use protocol=greedy, or backend=hf"
        )

    def render(turns: tuple[Turn, ...]) -> str:
        try:
            return prompt_text(tokenizer, protocol, "", turns)
        except InputError:
            if turns[0].role != "system" or len(turns) < 2:
                raise
        # As lm-eval does for templates that refuse a system turn.
        note_once(
            f"note: the chat template refuses a system turn, so '{task.name}' is asked without "
            "its description"
        )
        return prompt_text(tokenizer, protocol, "", turns[1:])

    rows = [document.fields for document in task.documents]
    return dict(zip(ids, make_requests(task.lm_eval, rows, render), strict=True))


def _lengths(
    task: Task,
    documents: Sequence[Document],
    asked: Mapping[str, Sequence[AskedText]],
    scorer: Scorer,
) -> tuple[list[int], int]:
    """Return how much a model reads for each document, and how many of all the task's are cut."""
    cut = 0
    for document in task.documents:
        try:
            cut += scorer.is_cut(asked[document.id])
        except InputError as error:
            raise InputError(f"task '{task.name}': document '{document.id}': {error}") from None
    return [scorer.length(asked[document.id]) for document in documents], cut


def _answers(
    task: Task, batch: Sequence[Document], asked: Mapping[str, Sequence[AskedText]], scorer: Scorer
) -> list[OptionAnswer]:
    requests = [request for document in batch for request in asked[document.id]]
    try:
        scores = iter(scorer.score(requests))
    except InputError as error:
        raise InputError(f"task '{task.name}': {error}") from None
    answers = []
    for document in batch:
        texts = _option_texts(task, document)
        found = [next(scores) for _ in asked[document.id]]
        options = tuple(
            Option(
                *likelihood,
                text=request[1] if len(request) > 1 else None,
                n_chars=len(text),
                n_bytes=len(text.encode()),
            )
            for likelihood, request, text in zip(found, asked[document.id], texts, strict=False)
        )
        gold = gold_options(task.lm_eval, document.fields)
        rest = tuple(likelihood.log_p for likelihood in found[len(options) :])
        answers.append(OptionAnswer(document.id, options, gold, rest))
    return answers


def _option_texts(task: Task, document: Document) -> Sequence[str]:
    """Return the texts by whose lengths lm-eval normalises: options without the delimiter."""
    if task.output_type == "multiple_choice":
        choices: Sequence[str] = task.lm_eval.doc_to_choice(document.fields)
        return choices
    return [request[-1] for request in document.requests]

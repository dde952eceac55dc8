"""A teacher that is not loaded: its responses and scores come from a cache."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.checkpoint import one_line
from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.forward import TeacherScorer
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.teachers.cache import CachedScores, digest_of
from kdbench.fidelity.texts import ComparedText
from kdbench.generate import Prompt, Sample
from kdbench.generate.choice import choose_backend
from kdbench.generate.prompts import encode_prompt
from kdbench.measuring.likelihood.answers import OptionAnswers, by_document, read_answer
from kdbench.measuring.likelihood.measuring import options_name
from kdbench.measuring.scoring import check_complete, origin
from kdbench.protocol import Protocol
from kdbench.scores.cache import TopKCache
from kdbench.store.folder import RunFolder, generated_run_id
from kdbench.store.record import RunRecord
from kdbench.store.samples import Samples, read_sample
from kdbench.task import Task
from kdbench.views import Batch


class CachedTeacher(Teacher):
    """A teacher that is not loaded: its responses and scores come from `teacher_cache=`.

    Args:
        settings: Settings of the student.
        protocols: Protocols of the teacher's runs, as `protocols_of` gives them.
        folder: Folder of the cache.

    Raises:
        InputError: The folder is no cache.
    """

    generated = 0

    def __init__(self, settings: EvalSettings, protocols: Sequence[Protocol], folder: Path):
        self.seeds = tuple(seed for protocol in protocols for seed in protocol.seeds)
        self._cache = TopKCache(folder)
        cached = self._cache.identity()
        if cached is None:
            raise InputError(
                f"teacher=cache:{folder}: no teacher.json, so this is not a cache; make one "
                "with teacher=CHECKPOINT teacher_cache=DIR"
            )
        if cached.max_error:
            raise InputError(
                f"teacher=cache:{folder}: its scores are off by up to {cached.max_error:g} nats, "
                "and eval needs exact ones; make a cache without max_error="
            )
        self._cached, self.top_k = cached, cached.top_k
        self.knows_entropy = cached.entropy
        self.identity = {
            "name": cached.name,
            "sha256": cached.sha256,
            "dtype": cached.dtype,
            "top_k": cached.top_k,
        }
        self._protocols = protocols
        self._runs = [
            RunFolder(folder / "results" / self._run_id(settings, protocol))
            for protocol in protocols
        ]
        self._limit = settings.limit

    def _run_id(self, settings: EvalSettings, protocol: Protocol) -> str:
        return generated_run_id(
            self._cached.sha256,
            protocol.as_dict(),
            settings.limit,
            self._cached.dtype,
            choose_backend(settings.backend, settings.backend_options).identity,
        )

    def answer(self) -> None:
        """Do nothing: the responses were generated when the cache was made."""

    @cached_property
    def tokenizer(self) -> Any:
        """The teacher's tokenizer."""
        from transformers import AutoTokenizer

        folder = self._cache.folder / "tokenizer"
        with one_line(folder):
            return AutoTokenizer.from_pretrained(folder)

    @property
    def ends(self) -> frozenset[int]:
        """The teacher's end tokens."""
        return frozenset(self._cached.ends)

    def is_ready(self, task: Task) -> bool:  # noqa: ARG002
        """Whether all responses exist: nobody else adds any to a cache."""
        return True

    def samples(self, task: Task) -> Samples:
        """Return the teacher's responses from the cache.

        Raises:
            InputError: The cache lacks responses to this task under this protocol.
        """
        samples: dict[tuple[str, int], Sample] = {}
        for run, protocol in zip(self._runs, self._protocols, strict=True):
            for record, place in self._records(run, protocol, task, task.name):
                sample = read_sample(record, place)
                samples[sample.document, sample.seed] = sample
        check_complete(task, self.seeds, samples)
        return samples

    def options(self, task: Task) -> OptionAnswers:
        """Return what the teacher said about the options of a task, from the cache.

        Raises:
            InputError: The cache lacks this task under this protocol, or some of its documents.
        """
        records = self._records(self._runs[0], self._protocols[0], task, options_name(task.name))
        answers = by_document([read_answer(record, place) for record, place in records])
        if missing := [d.id for d in task.documents if d.id not in answers]:
            raise InputError(
                f"teacher=cache:{self._cache.folder}: lacks the options of {len(missing)} "
                f"documents of '{task.name}', the first is '{missing[0]}'"
            )
        return answers

    def _records(
        self, run: RunFolder, protocol: Protocol, task: Task, name: str
    ) -> list[tuple[Any, str]]:
        """The cached lines of a task, each with its place for messages."""
        file = run.lines(name)
        if not file.path.exists():
            raise InputError(
                f"teacher=cache:{self._cache.folder}: no responses to '{task.name}' under "
                f"protocol {protocol.name}, limit={self._limit}; it has "
                f"{self._listed() or 'none'}. Make them with teacher=CHECKPOINT "
                "teacher_cache=DIR"
            )
        RunRecord(run).check_same_texts(task.name, origin(task, protocol))
        lines = enumerate(file.read(), start=1)
        return [(record, f"{file.path}:{number}") for number, record in lines]

    def _listed(self) -> str:
        """List the tasks and protocols that the cache has responses for."""
        files = sorted((self._cache.folder / "results").glob("*/samples/*.jsonl"))
        records = {file: RunFolder(file.parents[1]).read_checked_run() for file in files}
        return "; ".join(
            f"'{task}' under {run['protocol']['name']}, limit={run['limit']}"
            for file, run in records.items()
            if run
            for task in [file.stem.removesuffix(".options")]
        )

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """Return the prompts as the teacher reads them, by document."""
        protocol = self._protocols[0]
        return {
            document.id: encode_prompt(
                self.tokenizer, protocol, document.prompt, document.conversation
            )
            for document in task.documents
        }

    def why_not(self, texts: Sequence[ComparedText], prompts: Mapping[str, Prompt]) -> str | None:
        """Return how many of these texts the cache lacks; None if it has all."""
        unknown = sum(
            not self._cache.has(digest_of(text, prompts[text.rollout.id])) for text in texts
        )
        if unknown:
            return f"the cache has no scores of {unknown} of these {len(texts)} texts"
        return None

    def scorer(self, prompts: Mapping[str, Prompt], vocabulary: int) -> TeacherScorer:
        """Return a function that reads the scores of a batch from the cache.

        Raises:
            InputError: The cached scores are normalised over different tokens.
        """
        if vocabulary != self._cached.vocabulary:
            raise InputError(
                f"teacher=cache:{self._cache.folder}: made over {self._cached.vocabulary} tokens, "
                f"but this student shares {vocabulary} with the teacher; "
                "make a cache with this student"
            )

        def score(batch: Batch, texts: Sequence[ComparedText]) -> CachedScores:
            digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
            columns = [self._cache.read(digest) for digest in digests]
            return CachedScores(columns, batch.device)

        return score

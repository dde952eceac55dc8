"""A teacher that is not in memory: what `teacher_cache=` has kept of one."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.checkpoint import one_line
from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.forward import See
from kdbench.fidelity.teachers.base import Samples, Teacher
from kdbench.fidelity.teachers.cache import CachedSight, TopKCache, digest_of
from kdbench.fidelity.texts import Text
from kdbench.generate import Prompt
from kdbench.generate.choice import choose_backend
from kdbench.generate.prompts import encode_prompt
from kdbench.measuring.scoring import check_complete, fingerprint
from kdbench.protocol import Protocol
from kdbench.store.folder import RunFolder, generated_run_id
from kdbench.store.record import RunRecord
from kdbench.store.samples import read_sample
from kdbench.task import Task
from kdbench.views import Batch


class CachedTeacher(Teacher):
    """A teacher that is not in memory: what `teacher_cache=` has kept of it."""

    generated = 0  # by this call

    def __init__(self, settings: EvalSettings, parts: Sequence[Protocol], folder: Path):
        self.seeds = tuple(seed for part in parts for seed in part.seeds)
        self._cache = TopKCache(folder)
        found = self._cache.identity()
        if found is None:
            raise InputError(
                f"teacher=cache:{folder}: no teacher's scores here (no teacher.json); make them "
                "with teacher=CHECKPOINT teacher_cache=DIR"
            )
        self._found, self.top_k = found, found.top_k
        self.knows_entropy = found.entropy
        self.identity = {
            "name": found.name,
            "sha256": found.sha256,
            "dtype": found.dtype,
            "top_k": found.top_k,
        }
        self._parts = parts
        self._runs = [RunFolder(folder / "results" / self._run_id(settings, p)) for p in parts]
        self._limit = settings.limit

    def _run_id(self, settings: EvalSettings, protocol: Protocol) -> str:
        return generated_run_id(
            self._found.sha256,
            protocol.as_dict(),
            settings.limit,
            self._found.dtype,
            choose_backend(settings.backend, settings.backend_options).identity,
        )

    def answer(self) -> None:
        """They were made when the cache was."""

    @cached_property
    def tokenizer(self) -> Any:
        """The teacher's."""
        from transformers import AutoTokenizer

        folder = self._cache.folder / "tokenizer"
        with one_line(folder):
            return AutoTokenizer.from_pretrained(folder)

    @property
    def ends(self) -> frozenset[int]:
        """Its end tokens."""
        return frozenset(self._found.ends)

    def is_ready(self, task: Task) -> bool:  # noqa: ARG002 - a live one's may be to come
        """What is missing here is missing."""
        return True

    def samples(self, task: Task) -> Samples:
        """Its own responses, as the cache has them.

        Raises:
            InputError: it has none to this task under this protocol, or not all.
        """
        found: Samples = {}
        for run, protocol in zip(self._runs, self._parts, strict=True):
            file = run.lines(task.name)
            if not file.path.exists():
                raise InputError(
                    f"teacher=cache:{self._cache.folder}: no responses to '{task.name}' under "
                    f"protocol {protocol.name}, limit={self._limit}; it has "
                    f"{self._listed() or 'none'}. Make them with teacher=CHECKPOINT "
                    "teacher_cache=DIR"
                )
            RunRecord(run).check_same_texts(task.name, fingerprint(task, protocol))
            for number, record in enumerate(file.read(), start=1):
                one = read_sample(record, f"{file.path}:{number}")
                found[one.document, one.seed] = one
        check_complete(task, self.seeds, found)
        return found

    def _listed(self) -> str:
        """What the cache has responses to."""
        files = sorted((self._cache.folder / "results").glob("*/samples/*.jsonl"))
        records = {file: RunFolder(file.parents[1]).read_run() for file in files}
        return "; ".join(
            f"'{file.stem}' under {run['protocol']['name']}, limit={run['limit']}"
            for file, run in records.items()
            if run
        )

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""
        return {
            one.id: encode_prompt(self.tokenizer, self._parts[0], one.prompt, one.message)
            for one in task.documents
        }

    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:
        """Texts that it was never shown."""
        unknown = sum(
            not self._cache.has(digest_of(text, prompts[text.rollout.id])) for text in texts
        )
        if unknown:
            return f"the cache has no scores of {unknown} of these {len(texts)} texts"
        return None

    def look(self, prompts: Mapping[str, Prompt], vocabulary: int) -> See:
        """Its scores, from disk.

        Raises:
            InputError: they are normalised over other tokens.
        """
        if vocabulary != self._found.vocabulary:
            raise InputError(
                f"teacher=cache:{self._cache.folder}: made over {self._found.vocabulary} tokens, "
                f"and this student shares {vocabulary} with the teacher; make a cache beside it"
            )

        def see(batch: Batch, texts: Sequence[Text]) -> CachedSight:
            digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
            return CachedSight([self._cache.read(one) for one in digests], batch.device)

        return see

"""The teacher that a student is compared with: a checkpoint, or the cache that one has left."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import one_line
from kdbench.config import CACHE, EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.cache import CachedIdentity, CachedSight, Recorder, TopKCache, digest_of
from kdbench.fidelity.forward import See
from kdbench.fidelity.texts import Text
from kdbench.files import put_bytes
from kdbench.generate import Prompt, Sample
from kdbench.generate.generator import encode_prompt, end_tokens
from kdbench.measuring import measure
from kdbench.metrics import Positions, PositionSet
from kdbench.protocol import Protocol, get_protocol
from kdbench.record import RunRecord
from kdbench.scoring import check_complete, fingerprint
from kdbench.store import RunFolder, read_sample, run_id
from kdbench.task import Task
from kdbench.views import Batch, ModelView

if TYPE_CHECKING:
    import torch

Samples = dict[tuple[str, int], Sample]


class Teacher(ABC):
    """What a comparison needs of a teacher.

    Attributes:
        identity: name, hash and precision: what makes a comparison stale.
        protocol: of its own responses; its seeds may be more than the student's.
        generated: samples made by this call.
        top_k: of a cached one; None for a teacher whose every probability is known.
    """

    identity: Mapping[str, Any]
    protocol: Protocol
    generated: int
    top_k: int | None

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """The teacher's."""

    @property
    @abstractmethod
    def ends(self) -> frozenset[int]:
        """Its end tokens."""

    @abstractmethod
    def is_ready(self, task: Task) -> bool:
        """Whether its own responses are all there; those of other shards may be to come."""

    @abstractmethod
    def samples(self, task: Task) -> Samples:
        """Its own responses."""

    @abstractmethod
    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""

    @abstractmethod
    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:
        """Why it cannot score some texts, None if it can."""

    def has_kept(self, text: Text, prompts: Mapping[str, Prompt]) -> bool:  # noqa: ARG002
        """Whether nothing of its scores of a text is left to keep."""
        return True

    @abstractmethod
    def look(self, prompts: Mapping[str, Prompt], vocabulary: int) -> See:
        """Its scores over the first `vocabulary` tokens."""


def find_teacher(settings: EvalSettings) -> Teacher:
    """The teacher of `teacher=`, its own responses made where they are missing.

    Raises:
        InputError: no such checkpoint or cache, or a cache without these responses.
    """
    assert settings.teacher is not None  # noqa: S101 - for the type checker
    overrides = settings.protocol_overrides()
    seeds = teacher_seeds(get_protocol(settings.protocol, overrides))
    protocol = get_protocol(settings.protocol, {**overrides, "seeds": seeds})
    if settings.teacher.startswith(CACHE):
        return CachedTeacher(settings, protocol, Path(settings.teacher.removeprefix(CACHE)))
    return LiveTeacher(settings, protocol)


def teacher_seeds(protocol: Protocol) -> tuple[int, ...]:
    """The student's seeds; a single one draws with the student's noise, so there is a second."""
    seeds = protocol.seeds
    return (*seeds, seeds[0] + 1) if len(seeds) == 1 and protocol.temperature > 0 else seeds


class LiveTeacher(Teacher):
    """A checkpoint, loaded where its scores or responses are missing."""

    def __init__(self, settings: EvalSettings, protocol: Protocol):
        self.protocol, self.top_k = protocol, None
        wanted = settings.of_teacher(protocol.seeds)
        self._measured = measure(wanted)
        self._measured.record.label(method="Teacher", setting=settings.setting)
        self.generated = self._measured.generated
        checkpoint = self._measured.checkpoint
        self.identity = {
            "name": self._measured.name,
            "sha256": checkpoint.sha256,
            "dtype": settings.dtype,
            "top_k": None,
        }
        self._cache_folder, self._cache_top_k = settings.teacher_cache, settings.cache_top_k
        self._cache = TopKCache(settings.teacher_cache or Path())
        self._claimed = False

    @property
    def tokenizer(self) -> Any:
        """The teacher's."""
        return self._measured.backend.tokenizer

    @property
    def ends(self) -> frozenset[int]:
        """Its end tokens."""
        return end_tokens(self._measured.backend.model, self.tokenizer)

    def is_ready(self, task: Task) -> bool:
        """Whether its own responses are all there."""
        return task.name in self._measured.results

    def samples(self, task: Task) -> Samples:
        """Its own responses."""
        return self._measured.samples(task)

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""
        return self._measured.prompts(task)

    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:  # noqa: ARG002 - a cache needs them
        """Only a backend that hides its model cannot."""
        if self._measured.backend.model is None:
            return "the backend does not show the teacher's probabilities"
        return None

    def has_kept(self, text: Text, prompts: Mapping[str, Prompt]) -> bool:
        """Whether its scores of a text are in the cache that is to be made."""
        if self._cache_folder is None:
            return True
        return self._cache.has(digest_of(text, prompts[text.rollout.id]))

    def look(self, prompts: Mapping[str, Prompt], vocabulary: int) -> See:
        """Its scores, kept in the cache if there is to be one."""
        view = ModelView(
            self._measured.backend.model, vocabulary, prompt=lambda one: prompts[one.id].ids
        )
        view.check()
        cache = self._cache if self._cache_folder else None
        if cache is not None and not self._claimed:
            self._claim(cache, vocabulary)
            self._claimed = True

        def see(batch: Batch, texts: Sequence[Text]) -> _LiveSight:
            recorder = None
            if cache is not None:
                digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
                recorder = Recorder(cache, self._cache_top_k, digests, batch.lengths)
            return _LiveSight(view, batch, recorder)

        return see

    def _claim(self, cache: TopKCache, vocabulary: int) -> None:
        measured = self._measured
        cache.claim(
            CachedIdentity(
                measured.name,
                measured.checkpoint.sha256,
                measured.settings.dtype,
                vocabulary,
                self._cache_top_k,
                tuple(sorted(self.ends)),
            )
        )
        cache.keep_tokenizer(self.tokenizer)
        kept = cache.folder / "results" / measured.run.path.name
        for file in sorted([*measured.run.path.glob("run.json"), *measured.sample_files()]):
            put_bytes(kept / file.relative_to(measured.run.path), file.read_bytes())


class _LiveSight:
    def __init__(self, view: ModelView, batch: Batch, recorder: Recorder | None):
        self._view, self._recorder = view, recorder
        self._states = view.states(batch)

    def positions(
        self,
        part: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        where: PositionSet,
    ) -> "tuple[Positions, torch.Tensor]":
        log_p, cut = self._view.log_probs(self._states[part])
        at = Positions(log_p, log_q, targets, where)
        if self._recorder is not None:
            self._recorder.add(at)
        return at, cut

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()


class CachedTeacher(Teacher):
    """A teacher that is not in memory: what `teacher_cache=` has kept of it."""

    def __init__(self, settings: EvalSettings, protocol: Protocol, folder: Path):
        self.protocol, self.generated = protocol, 0
        self._cache = TopKCache(folder)
        found = self._cache.identity()
        if found is None:
            raise InputError(
                f"teacher=cache:{folder}: no teacher's scores here (no teacher.json); make them "
                "with teacher=CHECKPOINT teacher_cache=DIR"
            )
        self._found, self.top_k = found, found.top_k
        self.identity = {
            "name": found.name,
            "sha256": found.sha256,
            "dtype": found.dtype,
            "top_k": found.top_k,
        }
        texts = {
            "checkpoint": found.sha256,
            "protocol": protocol.as_dict(),
            "limit": settings.limit,
            "dtype": found.dtype,
            "backend": settings.backend,
        }
        self._run = RunFolder(folder / "results" / run_id(protocol.name, texts))

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
            InputError: it has none to this task under this protocol.
        """
        file = self._run.lines(task.name)
        if not file.path.exists():
            raise InputError(
                f"{file.path}: the cache has no responses of the teacher to '{task.name}' under "
                f"protocol {self.protocol.name}; run once with teacher=CHECKPOINT teacher_cache=DIR"
            )
        RunRecord(self._run, {}).check_same_texts(task.name, fingerprint(task, self.protocol))
        samples = [
            read_sample(record, f"{file.path}:{number}")
            for number, record in enumerate(file.read(), start=1)
        ]
        found = {(one.document, one.seed): one for one in samples}
        check_complete(task, self.protocol.seeds, found)
        return found

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""
        return {
            one.id: encode_prompt(self.tokenizer, self.protocol, one.prompt, one.message)
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
            return CachedSight(self._cache, digests, batch.device)

        return see

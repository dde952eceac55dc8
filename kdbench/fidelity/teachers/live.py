"""A teacher that is a checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.config import EvalSettings
from kdbench.fidelity.forward import See
from kdbench.fidelity.teachers.base import Samples, Teacher
from kdbench.fidelity.teachers.cache import CachedIdentity, Recorder, TopKCache, digest_of
from kdbench.fidelity.texts import Text
from kdbench.generate import Prompt
from kdbench.measuring.measurement import prepare
from kdbench.metrics import Positions, PositionSet
from kdbench.protocol import Protocol
from kdbench.system.files import put_bytes
from kdbench.task import Task
from kdbench.views import Batch, ModelView

if TYPE_CHECKING:
    import torch


class LiveTeacher(Teacher):
    """A checkpoint, loaded where its scores or responses are missing."""

    def __init__(self, settings: EvalSettings, parts: Sequence[Protocol], tasks: Sequence[Task]):
        self.seeds: tuple[int, ...] = tuple(seed for part in parts for seed in part.seeds)
        self.top_k: int | None = None
        self._runs = [
            prepare(settings.of_teacher(part.seeds), "teacher", tasks, wait=True) for part in parts
        ]
        self._first, self._setting = self._runs[0], settings.setting
        self.identity: Mapping[str, Any] = {
            "name": self._first.name,
            "sha256": self._first.checkpoint.sha256,
            "dtype": settings.dtype,
            "top_k": None,
        }
        self._cache_folder, self._cache_top_k = settings.teacher_cache, settings.cache_top_k
        self._cache = TopKCache(settings.teacher_cache or Path())
        self._claimed = False

    def answer(self) -> None:
        """Make the responses that are missing."""
        self._first.measure().record.label(method="Teacher", setting=self._setting)
        for other in self._runs[1:]:
            other.measure().record.note(auxiliary=True)
            other.release()

    @property
    def generated(self) -> int:
        """Samples made by this call."""
        return sum(run.generated for run in self._runs)

    @property
    def tokenizer(self) -> Any:
        """The teacher's."""
        return self._first.backend.tokenizer

    @property
    def ends(self) -> frozenset[int]:
        """Its end tokens."""
        return self._first.backend.ends

    def is_ready(self, task: Task) -> bool:
        """Whether its own responses are all there, perhaps since other shards have finished."""
        return all(run.finish(task) for run in self._runs)

    def samples(self, task: Task) -> Samples:
        """Its own responses."""
        return {key: one for run in self._runs for key, one in run.samples(task).items()}

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The prompts as it sees them."""
        prompts: dict[str, Prompt] = self._first.prompts(task)
        return prompts

    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:  # noqa: ARG002 - a cache needs them
        """Only a backend that hides its model cannot."""
        if self._first.backend.model is None:
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
            self._first.backend.model, vocabulary, prompt=lambda one: prompts[one.id].ids
        )
        view.check()
        cache = self._kept(vocabulary)

        def see(batch: Batch, texts: Sequence[Text]) -> LiveSight:
            recorder = None
            if cache is not None:
                digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
                recorder = Recorder(cache, self._cache_top_k, digests, batch.lengths)
            return LiveSight(view, batch, recorder)

        return see

    def release(self) -> None:
        """Free the models' memory."""
        for run in self._runs:
            run.release()

    def _kept(self, vocabulary: int) -> TopKCache | None:
        """The cache that is to be made, claimed; None if there is to be none."""
        if self._cache_folder is None:
            return None
        if not self._claimed:
            self._claim(self._cache, vocabulary)
            self._claimed = True
        return self._cache

    def _claim(self, cache: TopKCache, vocabulary: int) -> None:
        """Write down whose cache it is, and put the responses there."""
        cache.claim(
            CachedIdentity(
                self._first.name,
                self._first.checkpoint.sha256,
                self._first.settings.dtype,
                vocabulary,
                self._cache_top_k,
                tuple(sorted(self.ends)),
                self.knows_entropy,
            )
        )
        cache.keep_tokenizer(self.tokenizer)
        for run in self._runs:
            kept = cache.folder / "results" / run.run.path.name
            for file in sorted([*run.run.path.glob("run.json"), *run.sample_files()]):
                put_bytes(kept / file.relative_to(run.run.path), file.read_bytes())


class LiveSight:
    """A live teacher's scores of one batch.

    Args:
        view: the teacher.
        batch: what it reads.
        recorder: keeps its scores, if they are to be kept.
    """

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
        """Both whole distributions, and what was cut off the teacher's."""
        log_p, cut = self._view.log_probs(self._states[part])
        at = Positions(log_p, log_q, targets, where)
        if self._recorder is not None:
            self._recorder.add(at)
        return at, cut

    def close(self) -> None:
        """Write what is kept."""
        if self._recorder is not None:
            self._recorder.close()

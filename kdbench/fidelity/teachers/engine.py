"""A teacher that only an engine can hold: its top k log-probabilities come from the engine."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.forward import TeacherScorer
from kdbench.fidelity.teachers.cache import CachedScores, digest_of
from kdbench.fidelity.teachers.live import LiveTeacher
from kdbench.fidelity.texts import ComparedText
from kdbench.generate import Prompt
from kdbench.protocol import Protocol
from kdbench.scores.cache import Recorder, ScoreColumns
from kdbench.task import Task
from kdbench.views import Batch, vocabulary_size

# A tail below the rounding error of k float32 probabilities means nothing. It must not be 0, or the
# reverse divergences would be infinite.
_LEAST_TAIL = 1e-6


class EngineTeacher(LiveTeacher):
    """A checkpoint that only an engine can hold.

    Its scores are the engine's top k and the probability of all other tokens, as in a cache, so
    divergences are bounds. Unlike in a cache, the entropy is not known, and padding of the head
    counts towards the other tokens.

    Raises:
        InputError: `backend=` has no engine that reports log-probabilities.
    """

    knows_entropy = False

    def __init__(
        self, settings: EvalSettings, protocols: Sequence[Protocol], tasks: Sequence[Task]
    ):
        super().__init__(settings, protocols, tasks)
        if not self._first.chosen.has_top_scores:
            raise InputError(
                f"teacher_scores=engine: backend={settings.backend} does not report "
                "log-probabilities; use backend=vllm"
            )
        self.top_k = settings.cache_top_k
        self.identity = {**self.identity, "top_k": self.top_k, "scores": "engine"}

    def why_not(self, texts: Sequence[ComparedText], prompts: Mapping[str, Prompt]) -> str | None:  # noqa: ARG002
        """Return None: an engine can score any text."""
        return None

    def scorer(self, prompts: Mapping[str, Prompt], vocabulary: int) -> TeacherScorer:
        """Return a function that takes the scores of a batch from the cache or the engine.

        Raises:
            InputError: The student does not know all of the teacher's tokens.
        """
        tokens = vocabulary_size(self.tokenizer)
        if vocabulary != tokens:
            raise InputError(
                "teacher_scores=engine: the student shares "
                f"{vocabulary} of the teacher's {tokens} tokens, and the engine's "
                "probabilities cannot be normalised over those alone; use teacher_scores=model"
            )
        cache = self._claimed_cache(vocabulary)

        def score(batch: Batch, texts: Sequence[ComparedText]) -> CachedScores:
            digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
            if cache is not None and all(cache.has(digest) for digest in digests):
                return CachedScores([cache.read(digest) for digest in digests], batch.device)
            pairs = [(prompts[text.rollout.id].ids, text.rollout.response_ids) for text in texts]
            top_scores = dict(self._first.backend.top_scores(pairs, self._cache_top_k))
            columns = [_columns(top_scores[row]) for row in range(len(texts))]
            if cache is not None:
                recorder = Recorder(cache, self._cache_top_k, digests, batch.lengths)
                for scores in columns:
                    recorder.add_scores(scores)
                recorder.close()
            return CachedScores(columns, batch.device)

        return score


def _columns(scores: Any) -> ScoreColumns:
    """Convert an engine's scores of a text to the cache's form.

    Args:
        scores: `TopScores` of the text.
    """
    import torch

    log_p = torch.from_numpy(scores.log_p)
    tail = (1 - log_p.double().exp().sum(-1)).clamp(min=_LEAST_TAIL).log().float()
    return {
        "log_p": log_p,
        "ids": torch.from_numpy(scores.ids),
        "tail": tail,
        "entropy": torch.full_like(tail, torch.nan),
        "target": torch.from_numpy(scores.target),
    }

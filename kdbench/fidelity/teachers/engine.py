"""A teacher whose whole distributions are out of reach: an engine says its k likeliest tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.fidelity.forward import See
from kdbench.fidelity.teachers.cache import CachedSight, Recorder, Scores, digest_of
from kdbench.fidelity.teachers.live import LiveTeacher
from kdbench.fidelity.texts import Text
from kdbench.generate import Prompt
from kdbench.protocol import Protocol
from kdbench.task import Task
from kdbench.views import Batch

# Rounding of k float32 probabilities; a tail that small says nothing, and must not be zero, of
# which the reverse divergences would be infinite.
_LEAST_TAIL = 1e-6


class EngineTeacher(LiveTeacher):
    """A checkpoint that only an engine holds.

    Its scores are the engine's top k and the mass of the rest, as a cache has them: divergences are
    bounds. Unlike a cache's they lack the entropy, and padding of the head counts to the rest.

    Raises:
        InputError: `backend=` has no engine that tells log-probabilities.
    """

    knows_entropy = False

    def __init__(self, settings: EvalSettings, parts: Sequence[Protocol], tasks: Sequence[Task]):
        super().__init__(settings, parts, tasks)
        if not self._first.chosen.has_top_scores:
            raise InputError(
                f"teacher_scores=engine: backend={settings.backend} tells no log-probabilities; "
                "use backend=vllm"
            )
        self.top_k = settings.cache_top_k
        self.identity = {**self.identity, "top_k": self.top_k, "scores": "engine"}

    def why_not(self, texts: Sequence[Text], prompts: Mapping[str, Prompt]) -> str | None:  # noqa: ARG002
        """It can score whatever it can read."""
        return None

    def look(self, prompts: Mapping[str, Prompt], vocabulary: int) -> See:
        """Its scores, from the cache or from the engine.

        Raises:
            InputError: the student does not know all of its tokens.
        """
        if vocabulary != len(self.tokenizer):
            raise InputError(
                "teacher_scores=engine: the student shares "
                f"{vocabulary} of the teacher's {len(self.tokenizer)} tokens, and over those alone "
                "the engine's probabilities cannot be normalised; use teacher_scores=model"
            )
        cache = self._kept(vocabulary)

        def see(batch: Batch, texts: Sequence[Text]) -> CachedSight:
            digests = [digest_of(text, prompts[text.rollout.id]) for text in texts]
            if cache is not None and all(cache.has(one) for one in digests):
                return CachedSight([cache.read(one) for one in digests], batch.device)
            pairs = [(prompts[text.rollout.id].ids, text.rollout.response_ids) for text in texts]
            found = dict(self._first.backend.top_scores(pairs, self._cache_top_k))
            scores = [_scores(found[place]) for place in range(len(texts))]
            if cache is not None:
                recorder = Recorder(cache, self._cache_top_k, digests, batch.lengths)
                for one in scores:
                    recorder.add_scores(one)
                recorder.close()
            return CachedSight(scores, batch.device)

        return see


def _scores(known: Any) -> Scores:
    """An engine's scores of a text, as a cache has them.

    Args:
        known: a `TopScores`.
    """
    import torch

    log_p = torch.from_numpy(known.log_p)
    rest = (1 - log_p.double().exp().sum(-1)).clamp(min=_LEAST_TAIL).log().float()
    return {
        "log_p": log_p,
        "ids": torch.from_numpy(known.ids),
        "tail": rest,
        "entropy": torch.full_like(rest, torch.nan),
        "target": torch.from_numpy(known.target),
    }

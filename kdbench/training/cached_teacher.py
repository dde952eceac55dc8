"""A teacher that is not in memory: its likeliest tokens come from a cache, or first a server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kdbench.errors import InputError
from kdbench.scores.cache import ScoreColumns, TopKCache, digest_of_tokens
from kdbench.training.chunk import TopK
from kdbench.views.rollout import Batch, Rollout

if TYPE_CHECKING:
    import torch

_SCALARS = {"log_prob": "target", "entropy": "entropy"}


@dataclass(frozen=True)
class ServedBehind:
    """A server that gives what a cache lacks.

    Attributes:
        complete: Adds the scores of responses to the cache, unless it has them.
        digest: Returns the hash under which the cache has those of a response.
    """

    complete: Callable[[Sequence[Rollout]], None]
    digest: Callable[[Rollout], str]


class CachedTeacherView:
    """The scores of a cache as a view.

    Args:
        cache: The cache, which has the scores of all responses that are asked for. Plain texts are
            not among them; their scores are NaN, as no term of the teacher applies to them.
        top_k: Number of tokens at each position.
        served: The server that gives what the cache lacks; None if there is none.
    """

    def __init__(self, cache: TopKCache, top_k: int, served: ServedBehind | None = None):
        self._cache, self._k, self._served = cache, top_k, served

    def top_k(self, batch: Batch) -> TopK:
        """The likeliest tokens at each of the batch's N positions."""
        columns = self._columns(batch, ("ids", "log_p", "tail", "target"))
        return TopK(columns["ids"].long(), columns["log_p"], columns["tail"], columns["target"])

    def scalars(self, kind: str, batch: Batch) -> "torch.Tensor":
        """The log-probability of each response token (`log_prob`), or the `entropy`, (N,)."""
        identity = self._cache.identity()
        if kind == "entropy" and identity is not None and not identity.entropy:
            raise InputError(
                "the method needs the teacher's entropy, which an engine's or a server's likeliest "
                "tokens do not determine; give a model"
            )
        column = _SCALARS[kind]
        return self._columns(batch, (column,))[column]

    def states(self, batch: Batch) -> "torch.Tensor":
        """Refuse: a cache has no hidden states.

        Raises:
            InputError: Always.
        """
        self._refuse(batch)

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Refuse: a cache has no logits.

        Raises:
            InputError: Always.
        """
        self._refuse(states)

    def _refuse(self, _: object) -> NoReturn:
        whose = "server" if self._served else f"cache:{self._cache.folder}"
        raise InputError(f"teacher={whose}: has the top {self._k} tokens alone; give a model")

    def _columns(self, batch: Batch, names: tuple[str, ...]) -> "dict[str, torch.Tensor]":
        import torch

        if self._served is not None:
            self._served.complete(batch.rollouts)
        rows = [self._row(rollout) for rollout in batch.rollouts]
        return {name: torch.cat([row[name] for row in rows]).to(batch.device) for name in names}

    def _row(self, rollout: Rollout) -> ScoreColumns:
        import torch

        if self._served is None or rollout.origin == "pretraining":
            digest = digest_of_tokens(rollout.prompt_ids, rollout.response_ids)
        else:
            digest = self._served.digest(rollout)
        if self._cache.has(digest):
            return self._cache.read(digest)
        if rollout.origin != "pretraining":
            raise InputError(
                f"teacher=cache:{self._cache.folder}: has no scores of this response to row "
                f"'{rollout.id}' (origin {rollout.origin}); give a model"
            )
        length = len(rollout.response_ids)
        nothing = torch.full((length,), torch.nan)
        ids = torch.arange(self._k).expand(length, -1)
        columns = {"tail": nothing, "entropy": nothing, "target": nothing}
        return {"log_p": nothing[:, None].expand(-1, self._k), "ids": ids, **columns}

"""What computes the log-probabilities: the transformers model of a backend, or a server's."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kdbench.generate import Backend
from kdbench.measuring.likelihood.encoding import RequestEncoder, Scored
from kdbench.measuring.likelihood.forward import log_likelihoods
from kdbench.protocol import Protocol

AskedText = tuple[str, ...]


class Likelihood(NamedTuple):
    """What is known of one request.

    Attributes:
        log_p: Log-probability of the continuation or text, in nats.
        greedy: Whether each of its tokens is the likeliest one; None for a rolling text.
        n_tokens: Number of its tokens; None if unknown.
    """

    log_p: float
    greedy: bool | None
    n_tokens: int | None


class Scorer(ABC):
    """Scores requests."""

    @abstractmethod
    def length(self, requests: Sequence[AskedText]) -> int:
        """Return how much a model reads for some requests; equal units for all."""

    @abstractmethod
    def is_cut(self, requests: Sequence[AskedText]) -> bool:
        """Return whether the model's length cuts one of some requests."""

    @abstractmethod
    def score(self, requests: Sequence[AskedText]) -> list[Likelihood]:
        """Return the log-probability of each request.

        Raises:
            InputError: A request cannot be scored.
        """


def scorer_of(backend: Backend, protocol: Protocol) -> Scorer:
    """Return what scores requests: the backend's transformers model, else the backend itself.

    Raises:
        InputError: The backend has neither.
    """
    if backend.model is not None:
        return _ModelScorer(backend.model, backend.tokenizer, protocol.add_bos)
    return _BackendScorer(backend)


class _ModelScorer(Scorer):
    def __init__(self, model: Any, tokenizer: Any, add_bos: bool):
        self._model, self._tokenizer = model, tokenizer
        self._encoder = RequestEncoder(tokenizer, model.config, add_bos)
        self._encoded: dict[AskedText, list[Scored]] = {}

    def length(self, requests: Sequence[AskedText]) -> int:
        rows = {part.given for part in self._parts(requests)}
        return max(1, len(rows) * max((len(row) for row in rows), default=0))

    def is_cut(self, requests: Sequence[AskedText]) -> bool:
        return any(part.cut for part in self._parts(requests))

    def score(self, requests: Sequence[AskedText]) -> list[Likelihood]:
        parts = self._parts(requests)
        scores = iter(log_likelihoods(self._model, self._tokenizer, parts) if parts else ())
        found = []
        for request in requests:
            encoded = self._encode(request)
            own = [next(scores) for _ in encoded]
            found.append(
                Likelihood(
                    sum(log_p for log_p, _ in own),
                    None if len(request) == 1 else all(greedy for _, greedy in own),
                    sum(len(part.target) for part in encoded),
                )
            )
        return found

    def _parts(self, requests: Iterable[AskedText]) -> list[Scored]:
        return [part for request in requests for part in self._encode(request)]

    def _encode(self, request: AskedText) -> list[Scored]:
        if request not in self._encoded:
            self._encoded[request] = self._encoder.encode(request)
        return self._encoded[request]


class _BackendScorer(Scorer):
    def __init__(self, backend: Backend):
        self._backend = backend

    def length(self, requests: Sequence[AskedText]) -> int:
        return sum(len(text) for request in requests for text in request)

    def is_cut(self, requests: Sequence[AskedText]) -> bool:  # noqa: ARG002 - the server cuts
        return False

    def score(self, requests: Sequence[AskedText]) -> list[Likelihood]:
        found = self._backend.likelihoods(requests)
        return [Likelihood(log_p, greedy, None) for log_p, greedy in found]

"""An exchange: what clients say about public text, and the rule that makes targets of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.training.chunk import TopK

if TYPE_CHECKING:
    import torch


def dense(top: TopK, vocabulary: int) -> "torch.Tensor":
    """Log-probabilities (n, V) of which the likeliest are known; the others share the rest."""
    others = vocabulary - top.ids.shape[-1]
    # Rounding makes a small rest 0, of which a divergence would be infinite.
    rest = top.log_rest.clamp(min=-40.0) - math.log(max(1, others))
    spread = rest[:, None].expand(-1, vocabulary)
    return spread.scatter(-1, top.ids, top.log_p).log_softmax(-1)


def fuse(log_probs: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    """The mixture of clients' distributions, (n, V).

    Args:
        log_probs: Of each client, (K, n, V).
        weights: Of each client, (K,), with the sum 1.
    """
    return (weights.log()[:, None, None] + log_probs).logsumexp(0)


@dataclass(frozen=True)
class ClientAnswers:
    """What the server has been sent.

    Attributes:
        tokens: The likeliest tokens, by client and by public text.
        familiar: Whether each client answers each text, bool (K, texts).
        vocabulary: Number of tokens V.
    """

    tokens: Sequence[Sequence[TopK]]
    familiar: "torch.Tensor"
    vocabulary: int

    def texts(self) -> "Iterator[torch.Tensor]":
        """The log-probabilities of all clients on one text after the other, (K, n, V) each."""
        import torch

        for answers in zip(*self.tokens, strict=True):
            yield torch.stack([dense(top, self.vocabulary) for top in answers])

    def divergences(self) -> "torch.Tensor":
        """The mean KL(client k‖client j) over all tokens, (K, K)."""
        import torch

        clients, tokens = len(self.tokens), 0
        total = torch.zeros(clients, clients, dtype=torch.float64)
        for log_p in self.texts():
            gaps = log_p[:, None] - log_p[None]
            total += (log_p.exp()[:, None] * gaps).sum((-1, -2)).double().cpu()
            tokens += log_p.shape[1]
        return total / max(1, tokens)


class FusionRule:
    """How targets are made of answers.

    Attributes:
        asks: Whether clients choose the texts that they answer, by `familiar`.
    """

    asks: bool = False

    def familiar(
        self,
        own: "torch.Tensor",  # noqa: ARG002
        public: "torch.Tensor",
        seed: float,  # noqa: ARG002
    ) -> "torch.Tensor":
        """Which public texts a client answers, bool (texts,); it is computed by the client.

        Args:
            own: Its mean states of texts of its own shard, (m, H).
            public: Its mean states of the public texts, (texts, H).
            seed: A number of [0, 1) for draws.
        """
        import torch

        return torch.ones(len(public), dtype=torch.bool)

    def weights(self, answers: ClientAnswers) -> "torch.Tensor":
        """The weights of clients j in the targets of clients k on each text, (K, K, texts).

        The weights of a target have the sum 1, or are all 0 where the text is left out.
        """
        raise NotImplementedError


def targets(answers: ClientAnswers, weights: "torch.Tensor", k: int) -> list[list[TopK | None]]:
    """The targets by client and by text, as their k likeliest tokens; None leaves a text out."""
    found: list[list[TopK | None]] = [[] for _ in range(len(weights))]
    for text, log_probs in enumerate(answers.texts()):
        for client, of_clients in enumerate(weights[:, :, text].to(log_probs)):
            used = bool(of_clients.sum() > 0)
            found[client].append(TopK.of(fuse(log_probs, of_clients), k) if used else None)
    return found

"""The rows of an engine's batch, as its logits processor keeps them.

The engine decodes greedily. It samples by the protocol because each row's logits are replaced by
`choosing_scores` first. So a sample is the draw that backend=hf makes from (seed, document), and it
depends on the batch composition only as far as the engine's own arithmetic does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.generate.row.choosing import choosing_scores
from kdbench.generate.row.ngram import SeenNGrams
from kdbench.generate.row.noise import step_keys
from kdbench.protocol import Protocol
from kdbench.system.processes import Starter

if TYPE_CHECKING:
    import torch

KEY = "kdbench"
"""Entry of a request's `extra_args` that holds the seed and document of its row."""


@dataclass(frozen=True)
class ProcessorConfig:
    """Configuration of the logits processor, passed as vLLM's `additional_config`.

    Attributes:
        protocol: Protocol of all rows.
        vocabulary: Number of tokens of the tokenizer.
        starter: Process that started the engine.
    """

    protocol: Protocol
    vocabulary: int
    starter: Starter

    def compute_hash(self) -> str:
        """Return a constant for vLLM's cache of compiled code, which depends on none of this."""
        return KEY


class BatchUpdate(Interface):
    """Changes of the engine's batch, to be applied in this order (vLLM's `BatchUpdate`)."""

    removed: Sequence[int]
    added: Sequence[tuple[int, Any, list[int] | None, list[int]]]
    moved: Sequence[tuple[int, int, Any]]


class EngineRow:
    """A row that the engine decodes.

    Args:
        protocol: Protocol with the response limit and the n-gram rule.
        origin: `seed` and `document` of the row.
        prompt: Token ids of the prompt.
        output: Tokens generated so far: the engine's own list, which grows.
    """

    def __init__(
        self,
        protocol: Protocol,
        origin: Mapping[str, Any],
        prompt: Sequence[int],
        output: list[int],
    ):
        self.document: str = origin["document"]
        self._output, self._read = output, 0
        self._keys = step_keys(origin["seed"], self.document, protocol.max_new_tokens).tolist()
        self._ngrams = SeenNGrams(protocol.no_repeat_ngram_size, prompt)

    def key(self) -> list[int]:
        """Return the noise keys of the next token.

        The engine may draw one token beyond the limit, which is discarded; it gets the last keys.
        """
        keys: list[int] = self._keys[min(len(self._output), len(self._keys) - 1)]
        return keys

    def banned(self) -> set[int]:
        """Return the tokens that the n-gram rule forbids next."""
        new = self._output[self._read :]
        if any(token < 0 for token in new):  # placeholder of an unknown token
            raise RuntimeError(
                "kdbench: the engine chooses a token before it knows the previous one"
            )
        for token in new:
            self._ngrams.append(token)
        self._read = len(self._output)
        return self._ngrams.banned()


class EngineRows:
    """The rows of the batch, by place.

    Args:
        protocol: Protocol of all rows.
        vocabulary: Number of tokens of the tokenizer; logits beyond it are padding of the head.
    """

    def __init__(self, protocol: Protocol, vocabulary: int):
        self._protocol, self._vocabulary = protocol, vocabulary
        self._rows: dict[int, EngineRow] = {}

    def update(self, change: BatchUpdate | None) -> None:
        """Apply the changes of the engine's batch."""
        if change is None:
            return
        for place in change.removed:
            self._rows.pop(place, None)
        for place, params, prompt, output in change.added:
            self._rows.pop(place, None)
            origin = (params.extra_args or {}).get(KEY)
            if origin is not None:
                self._rows[place] = EngineRow(self._protocol, origin, prompt or (), output)
        for start, end, direction in change.moved:
            row, other = self._rows.pop(start, None), self._rows.pop(end, None)
            if row is not None:
                self._rows[end] = row
            if other is not None and direction.name == "SWAP":
                self._rows[start] = other

    def choose(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Replace each row's logits by scores whose argmax is its next token.

        Args:
            logits: Logits of the next tokens, (rows, V of the head); changed in place.

        Raises:
            InputError: A row's logits are not finite.
        """
        import torch

        places = [place for place in sorted(self._rows) if place < len(logits)]
        if not places:
            return logits
        rows = [self._rows[place] for place in places]
        banned = [(index, token) for index, row in enumerate(rows) for token in row.banned()]
        where = torch.tensor(places, device=logits.device)
        own_logits = logits[where, : self._vocabulary]
        keys = torch.tensor([row.key() for row in rows], dtype=torch.int32, device=logits.device)
        scores = choosing_scores(own_logits, self._protocol, banned, keys)
        finite = torch.isfinite(scores.max(dim=-1).values)
        if not finite.all():
            document = rows[int((~finite).nonzero()[0])].document
            raise InputError(f"the logits of document '{document}' are not finite")
        logits[where, self._vocabulary :] = -torch.inf
        logits[where, : self._vocabulary] = scores.to(logits.dtype)
        return logits

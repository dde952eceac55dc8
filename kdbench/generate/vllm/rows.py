"""The rows of an engine's batch, as its logits processor keeps them.

The engine decodes greedily; what makes it sample by the protocol is that each row's logits become
`choosing_scores` first. So a sample is the draw that backend=hf makes of (seed, document), and it
feels its company no more than the engine's own arithmetic does.
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

KEY = "kdbench"  # under which a request says whose row it is


@dataclass(frozen=True)
class Told:
    """What the engine's processes are told, as vLLM's `additional_config`.

    Attributes:
        protocol: of all rows.
        vocabulary: tokens of the tokenizer.
        starter: of the engine.
    """

    protocol: Protocol
    vocabulary: int
    starter: Starter

    def compute_hash(self) -> str:
        """For vLLM's cache of compiled code, in which none of this has a part."""
        return KEY


class BatchUpdate(Interface):
    """What has changed in the engine's batch: to apply in this order (vLLM's `BatchUpdate`)."""

    removed: Sequence[int]
    added: Sequence[tuple[int, Any, list[int] | None, list[int]]]
    moved: Sequence[tuple[int, int, Any]]


class EngineRow:
    """A row that the engine decodes.

    Args:
        protocol: limits, n-gram rule.
        whose: `seed` and `document`.
        prompt: its tokens.
        output: its tokens so far, the engine's own list, which grows.
    """

    def __init__(
        self,
        protocol: Protocol,
        whose: Mapping[str, Any],
        prompt: Sequence[int],
        output: list[int],
    ):
        self.document: str = whose["document"]
        self._output, self._read = output, 0
        self._keys = step_keys(whose["seed"], self.document, protocol.max_new_tokens).tolist()
        self._ngrams = SeenNGrams(protocol.no_repeat_ngram_size, prompt)

    def key(self) -> list[int]:
        """The noise keys of the next token; of a token too many, which is thrown away, the last."""
        keys: list[int] = self._keys[min(len(self._output), len(self._keys) - 1)]
        return keys

    def banned(self) -> set[int]:
        """Tokens that the n-gram rule forbids next."""
        new = self._output[self._read :]
        if any(token < 0 for token in new):  # a placeholder of a token that is still to come
            raise RuntimeError("kdbench: the engine chooses before it knows the token before")
        for token in new:
            self._ngrams.append(token)
        self._read = len(self._output)
        return self._ngrams.banned()


class EngineRows:
    """The rows of the batch, by place.

    Args:
        protocol: of all rows.
        vocabulary: tokens of the tokenizer; logits beyond it, padding of the head, are none.
    """

    def __init__(self, protocol: Protocol, vocabulary: int):
        self._protocol, self._vocabulary = protocol, vocabulary
        self._rows: dict[int, EngineRow] = {}

    def update(self, change: BatchUpdate | None) -> None:
        """Follow the engine's batch."""
        if change is None:
            return
        for place in change.removed:
            self._rows.pop(place, None)
        for place, params, prompt, output in change.added:
            self._rows.pop(place, None)
            whose = (params.extra_args or {}).get(KEY)
            if whose is not None:
                self._rows[place] = EngineRow(self._protocol, whose, prompt or (), output)
        for start, end, direction in change.moved:
            row, other = self._rows.pop(start, None), self._rows.pop(end, None)
            if row is not None:
                self._rows[end] = row
            if other is not None and direction.name == "SWAP":
                self._rows[start] = other

    def choose(self, logits: "torch.Tensor") -> "torch.Tensor":
        """The logits with each row's scores in their place, (rows, V of the head).

        Raises:
            InputError: logits that are not finite.
        """
        import torch

        places = [place for place in sorted(self._rows) if place < len(logits)]
        if not places:
            return logits
        rows = [self._rows[place] for place in places]
        banned = [(index, token) for index, row in enumerate(rows) for token in row.banned()]
        where = torch.tensor(places, device=logits.device)
        mine = logits[where, : self._vocabulary]
        keys = torch.tensor([row.key() for row in rows], dtype=torch.int32, device=logits.device)
        scores = choosing_scores(mine, self._protocol, banned, keys)
        finite = torch.isfinite(scores.max(dim=-1).values)
        if not finite.all():
            document = rows[int((~finite).nonzero()[0])].document
            raise InputError(f"the logits of document '{document}' are not finite")
        logits[where, self._vocabulary :] = -torch.inf
        logits[where, : self._vocabulary] = scores.to(logits.dtype)
        return logits

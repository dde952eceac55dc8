"""Rows that decode one at a time, for models whose rows would disturb one another in a batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.generate.decoding.prefill import Prompts
from kdbench.views.probe import accepts

if TYPE_CHECKING:
    import torch

# What models call the state that they return and take back for the next token.
_STATES = ("past_key_values", "cache_params", "state", "mems")


class AloneDecoding:
    """The decoding of one model, each row by itself, with the cache that the model makes.

    Args:
        model: a transformers model in evaluation mode.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: of the queue; the first `places` begin.
        places: number of rows.
        room: number of tokens to come.
        renewed_after: a row that grows beyond this length begins anew, with all its tokens; None
            is never.
    """

    # A row that has finished leaves at once: no other row depends on it.
    leaving_share, can_replace, runs_ahead = 1e-9, False, False

    def __init__(
        self,
        model: Any,
        vocabulary: int,
        prompts: Prompts,
        places: int,
        room: int,  # noqa: ARG002 - as for every decoding
        renewed_after: int | None = None,
    ):
        import torch

        self._model, self._vocabulary, self._renewed_after = model, vocabulary, renewed_after
        self._rows = [self._row() for _ in prompts[:places]]
        begun = zip(self._rows, prompts[:places], strict=True)
        self.logits = torch.cat([row.take(prompt) for row, prompt in begun])

    def _row(self) -> "_RecomputedRow":
        return _CachedRow(self._model, self._vocabulary, self._renewed_after)

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token."""
        import torch

        chosen = zip(self._rows, tokens.tolist(), strict=True)
        self.logits = torch.cat([row.take((token,)) for row, token in chosen])

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Rows that have finished are not replaced: they leave.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only."""
        self._rows = [self._rows[row] for row in rows.tolist()]
        self.logits = self.logits[rows]


class RecomputedDecoding(AloneDecoding):
    """The decoding of one model without a cache: each token takes a whole forward pass."""

    def _row(self) -> "_RecomputedRow":
        return _RecomputedRow(self._model, self._vocabulary)


class _RecomputedRow:
    """The tokens of one row."""

    def __init__(self, model: Any, vocabulary: int):
        self._model, self._vocabulary = model, vocabulary
        self._tokens: tuple[int, ...] = ()

    def take(self, tokens: Sequence[int]) -> "torch.Tensor":
        """Logits after some more tokens, shape (1, V)."""
        self._tokens += tuple(tokens)
        return self._run(self._tokens, use_cache=False).logits[:, -1, : self._vocabulary]

    def _run(self, tokens: Sequence[int], **extra: Any) -> Any:
        import torch

        if accepts(self._model, "logits_to_keep"):
            extra["logits_to_keep"] = 1
        return self._model(input_ids=torch.tensor([tokens], device=self._model.device), **extra)


class _CachedRow(_RecomputedRow):
    """The state that a model has returned for one row."""

    def __init__(self, model: Any, vocabulary: int, renewed_after: int | None):
        super().__init__(model, vocabulary)
        self._state: dict[str, Any] = {}
        self._renewed_after = renewed_after

    def take(self, tokens: Sequence[int]) -> "torch.Tensor":
        """Logits after some more tokens, shape (1, V)."""
        before = len(self._tokens)
        self._tokens += tuple(tokens)
        if self._renewed_after is not None and before <= self._renewed_after < len(self._tokens):
            self._state, tokens = {}, self._tokens
        output = self._run(tokens, use_cache=True, **self._state)
        self._state = {name: output[name] for name in _STATES if output.get(name) is not None}
        if not self._state:
            raise ValueError("the model returns no cache")
        logits: torch.Tensor = output.logits[:, -1, : self._vocabulary]
        return logits

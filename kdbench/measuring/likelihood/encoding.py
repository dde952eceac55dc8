"""Requests as token ids, encoded by lm-eval's own code for transformers.

The spaces at the end of a context belong to the continuation, both are encoded together and split
where the context's own encoding ends, an empty context is the BOS token (or else EOS), and a text
that begins with BOS gets no second one. A rolling text is cut into windows of the model's length.
Longer contexts lose their first tokens.
Source: lm-eval 0.4.13, `TemplateLM._encode_pair` and `HFLM.loglikelihood_rolling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from kdbench.errors import InputError


@dataclass(frozen=True)
class Scored:
    """Tokens that a model reads, the last of which are to be predicted.

    Attributes:
        given: Token ids that the model reads, from the first on.
        target: Token ids at the positions that end one after the last of `given`.
        cut: Whether the model's length cut tokens from the start.
    """

    given: tuple[int, ...]
    target: tuple[int, ...]
    cut: bool


class RequestEncoder:
    """Encodes requests for a model.

    Args:
        tokenizer: Tokenizer of the model.
        config: Configuration of the model, which has its length.
        add_bos: Whether a text begins with what the tokenizer puts there.
    """

    def __init__(self, tokenizer: Any, config: Any, add_bos: bool):
        self._lm = _encoder(tokenizer, config, add_bos)
        self.length = int(self._lm.max_length)

    def encode(self, request: Sequence[str]) -> list[Scored]:
        """Return the parts of a request; their log-probabilities add up, to 0 without a part.

        Args:
            request: Context and continuation, or one rolling text.

        Raises:
            InputError: There is nothing to predict, or the continuation is too long.
        """
        pairs = self._windows(request[0]) if len(request) == 1 else [self._pair(*request)]
        return [self._part(context, target) for context, target in pairs]

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        from lm_eval.api.instance import Instance

        if context == "" and continuation == "":
            raise InputError("a text to be scored has no tokens: ''")
        instance = Instance("loglikelihood", {}, (context, continuation), 0)
        ((_, before, target),) = self._lm.loglikelihood([instance], disable_tqdm=True)
        if not target or not before:
            raise InputError(f"a text to be scored has no tokens: '{continuation[:40]}'")
        return before, target

    def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

        windows = get_rolling_token_windows(
            token_list=self._lm.tok_encode(text),
            prefix_token=self._lm.prefix_token_id,
            max_seq_len=self.length,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def _part(self, context: Sequence[int], target: Sequence[int]) -> Scored:
        if len(target) > self.length:
            raise InputError(
                f"an option of {len(target)} tokens is longer than the model's {self.length}"
            )
        whole = [*context, *target]
        kept = whole[-(self.length + 1) :]
        return Scored(tuple(kept[:-1]), tuple(target), cut=len(kept) < len(whole))


def _encoder(tokenizer: Any, config: Any, add_bos: bool) -> Any:
    """Return lm-eval's model without the model: it encodes requests and returns them."""
    from lm_eval.models.huggingface import HFLM

    class Encoder(HFLM):
        def __init__(self) -> None:
            self.tokenizer, self.add_bos_token = tokenizer, add_bos
            self.backend, self.enable_thinking = "causal", False
            self.custom_prefix_token_id, self._max_length = None, None
            self._model = SimpleNamespace(config=config)

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> Any:
            return requests

    return Encoder()

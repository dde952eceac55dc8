"""One row while it is generated: its tokens, its n-grams, and when it is finished."""

from collections.abc import Sequence
from typing import Any, Literal

from kdbench.generate import Row, Sample
from kdbench.generate.row.ngram import SeenNGrams
from kdbench.protocol import Protocol


class Response:
    """A response in the making.

    Args:
        row: what is answered.
        protocol: limits, n-gram rule.
        tokenizer: decodes.
        end_tokens: ids that end a response.
        until: strings that end a response.
    """

    def __init__(
        self,
        row: Row,
        protocol: Protocol,
        tokenizer: Any,
        end_tokens: frozenset[int],
        until: Sequence[str],
    ):
        self.row = row
        self.finished = False
        self._tokens: list[int] = []
        self._limit = protocol.max_new_tokens
        self._tokenizer, self._end_tokens = tokenizer, end_tokens
        self._until = [stop for stop in until if stop]
        self._ngrams = SeenNGrams(protocol.no_repeat_ngram_size, row.prompt_ids)

    @property
    def at_its_last(self) -> bool:
        """Whether its next token is the last by the limit."""
        return len(self._tokens) == self._limit - 1

    def banned(self) -> set[int]:
        """Tokens that the n-gram rule forbids next."""
        return set() if self.finished else self._ngrams.banned()

    def take(self, token: int) -> Sample | None:
        """Take the next token; the sample if it was the last."""
        if token in self._end_tokens:
            return self._finish(self._text(), "stop", (token,))
        self._tokens.append(token)
        self._ngrams.append(token)
        if self._until:
            text = self._text()
            stops = [place for stop in self._until if (place := text.find(stop)) >= 0]
            if stops:
                return self._finish(text[: min(stops)], "stop")
        if len(self._tokens) == self._limit:
            return self._finish(self._text(), "length")
        return None

    def _text(self) -> str:
        return str(self._tokenizer.decode(self._tokens, skip_special_tokens=True))

    def _finish(
        self, text: str, finish: Literal["stop", "length"], end: tuple[int, ...] = ()
    ) -> Sample:
        self.finished = True
        row, tokens = self.row, (*self._tokens, *end)
        return Sample(row.document, row.seed, text, len(self._tokens), finish, tokens)

"""One response while it is generated: its tokens, its n-grams, and when it ends."""

from collections.abc import Sequence
from typing import Any, Literal

from kdbench.generate import Row, Sample
from kdbench.generate.row.ngram import SeenNGrams
from kdbench.protocol import Protocol


class Response:
    """A response that is being generated.

    Args:
        row: Row to generate.
        protocol: Protocol with the response limit and the n-gram rule.
        tokenizer: Tokenizer that decodes the response.
        end_tokens: Ids of the tokens that end a response.
        until: Strings that end a response.

    Attributes:
        finished: Whether the response has ended.
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
        """Whether the next token reaches the limit."""
        return len(self._tokens) == self._limit - 1

    def banned(self) -> set[int]:
        """Return the tokens that the n-gram rule forbids next; none for a finished response."""
        return set() if self.finished else self._ngrams.banned()

    def take(self, token: int) -> Sample | None:
        """Add the next token, and return the sample if the response ends with it."""
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

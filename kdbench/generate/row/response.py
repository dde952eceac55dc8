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
        special = special_stops(tokenizer, until)
        self._special = special
        self._until = [stop for stop in until if stop and stop not in special]
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
        if (text := self._stopped_text()) is not None:
            return self._finish(text, "stop")
        if len(self._tokens) == self._limit:
            return self._finish(self._text(), "length")
        return None

    def _stopped_text(self) -> str | None:
        """Return the text before the first stop string; None if there is no stop string yet."""
        texts = []
        if self._until:
            text = self._text()
            texts = [text[:place] for stop in self._until if (place := text.find(stop)) >= 0]
        if self._special:
            whole = self._decoded(len(self._tokens), special=True)
            places = [place for stop in self._special if (place := whole.find(stop)) >= 0]
            texts += [self._text_before(min(places))] if places else []
        return min(texts, key=len, default=None)

    def _text_before(self, place: int) -> str:
        """Return the text before a place in the text with special tokens."""
        count = len(self._tokens)
        while len(self._decoded(count, special=True)) > place:
            count -= 1
        whole = self._decoded(len(self._tokens), special=True)
        rest = whole[len(self._decoded(count, special=True)) : place]
        return self._decoded(count, special=False) + rest

    def _text(self) -> str:
        return self._decoded(len(self._tokens), special=False)

    def _decoded(self, count: int, special: bool) -> str:
        """Return the text of the first tokens, with or without special tokens."""
        return str(self._tokenizer.decode(self._tokens[:count], skip_special_tokens=not special))

    def _finish(
        self, text: str, finish: Literal["stop", "length"], end: tuple[int, ...] = ()
    ) -> Sample:
        self.finished = True
        row, tokens = self.row, (*self._tokens, *end)
        return Sample(row.document, row.seed, text, len(self._tokens), finish, tokens)


def special_stops(tokenizer: Any, until: Sequence[str]) -> list[str]:
    """Return the stop strings that hold a special token, which the text of a response lacks."""
    if not until:
        return []
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    tokens = {str(token) for token in getattr(tokenizer, "all_special_tokens", ())}
    tokens |= {str(token) for token in added if token.special}
    return [stop for stop in until if any(token in stop for token in tokens)]

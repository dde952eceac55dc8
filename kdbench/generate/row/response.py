"""One response while it is generated: its tokens, its n-grams, and when it ends."""

from collections.abc import Sequence
from typing import Any, Literal

from kdbench.generate import Row, Sample
from kdbench.generate.row.ngram import SeenNGrams
from kdbench.generate.row.text import RowText, special_texts
from kdbench.generate.thinking import Marks
from kdbench.protocol import Protocol


class Response:
    """A response that is being generated.

    Args:
        row: Row to generate.
        protocol: Protocol with the response limit and the n-gram rule.
        tokenizer: Tokenizer that decodes the response.
        end_tokens: Ids of the tokens that end a response.
        until: Strings that end a response; one in the thinking does not.
        marks: Marks around the model's thinking; None for a model that does not think.

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
        marks: Marks | None = None,
    ):
        self.row = row
        self.finished = False
        self._tokens: list[int] = []
        self._limit, self._keeps_thinking = protocol.max_new_tokens, protocol.thinking == "keep"
        self._text, self._end_tokens = RowText(tokenizer, marks, row.prompt_ids), end_tokens
        special = special_texts(tokenizer, until)
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
            return self._finish(self._text.output(self._tokens), "stop", (token,))
        self._tokens.append(token)
        self._ngrams.append(token)
        if (text := self._stopped_text()) is not None:
            return self._finish(text, "stop")
        if len(self._tokens) == self._limit:
            return self._finish(self._text.output(self._tokens), "length")
        return None

    def _stopped_text(self) -> str | None:
        """Return the text before the first stop string; None if there is no stop string yet."""
        texts = []
        if self._until:
            text = self._text.output(self._tokens)
            texts = [text[:place] for place in self._places(text, self._until)]
        if self._special:
            places = self._places(self._text.whole(self._tokens), self._special)
            texts += [self._text_before(min(places))] if places else []
        return min(texts, key=len, default=None)

    def _places(self, text: str, stops: Sequence[str]) -> list[int]:
        """Return where each stop string is first found in the answer, if it is."""
        start = self._text.answer_start(text)
        found = [] if start is None else [text.find(stop, start) for stop in stops]
        return [place for place in found if place >= 0]

    def _text_before(self, place: int) -> str:
        """Return the text before a place in the text with special tokens."""
        count = len(self._tokens)
        while len(self._text.whole(self._tokens[:count])) > place:
            count -= 1
        whole = self._text.whole(self._tokens)
        rest = whole[len(self._text.whole(self._tokens[:count])) : place]
        return self._text.output(self._tokens[:count]) + rest

    def _finish(
        self, text: str, finish: Literal["stop", "length"], end: tuple[int, ...] = ()
    ) -> Sample:
        self.finished = True
        row, tokens = self.row, (*self._tokens, *end)
        thinking = self._text.thinking(self._tokens, text)
        return Sample(
            row.document,
            row.seed,
            text,
            len(self._tokens),
            finish,
            tokens,
            None if self._keeps_thinking else thinking.answer_start,
            thinking.n_tokens,
            thinking.unclosed,
        )

"""The text of a response's tokens, and what part of it is the thinking."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdbench.generate.thinking import (
    Marks,
    ThinkingSplit,
    may_begin,
    opens_thinking,
    split_thinking,
)

_LONGEST_CHARACTER = 4  # tokens, of a byte-level tokenizer


@dataclass(frozen=True)
class RowThinking:
    """The thinking of a response.

    Attributes:
        answer_start: Index in the output at which the answer begins; None if there is no thinking.
        n_tokens: Number of tokens before the mark that ends it; None if the model has no marks.
        unclosed: Whether it never ended.
    """

    answer_start: int | None = None
    n_tokens: int | None = None
    unclosed: bool = False


class RowText:
    """Decodes the tokens of one response.

    Args:
        tokenizer: Tokenizer that decodes.
        marks: Marks around the model's thinking; None for a model that does not think.
        prompt_ids: Token ids of the prompt, which may have begun the thinking.
    """

    def __init__(self, tokenizer: Any, marks: Marks | None, prompt_ids: Sequence[int]):
        self._tokenizer, self._marks, self._prompt_ids = tokenizer, marks, prompt_ids

    def whole(self, tokens: Sequence[int]) -> str:
        """Return the text with special tokens."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))

    def output(self, tokens: Sequence[int]) -> str:
        """Return the text without special tokens; the thinking keeps them if its marks are some."""
        if not self._has_special_marks:
            return str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        split = self._split(whole := self.whole(tokens))
        if split.unclosed:
            return whole
        thinking = 0
        if split.closed is not None and self._marks is not None:
            thinking = self._tokens_within(tokens, split.closed + len(self._marks.end) - 1) + 1
        special = self._special_ids
        answer = [token for token in tokens[thinking:] if token not in special]
        return self.whole([*tokens[:thinking], *answer])

    def answer_start(self, text: str) -> int | None:
        """Return where the answer begins; None while the response thinks or may still begin to."""
        if self._marks is None:
            return 0
        split = self._split(text)
        start = split.answer or 0
        return None if split.unclosed or may_begin(text[start:], self._marks) else start

    def thinking(self, tokens: Sequence[int], output: str) -> RowThinking:
        """Return the thinking of a finished response.

        Args:
            tokens: Token ids of the response.
            output: Their text, perhaps cut at a stop string.
        """
        if self._marks is None:
            return RowThinking()
        split = self._split(output)
        if split.unclosed:
            return RowThinking(split.answer, len(tokens), unclosed=True)
        if split.closed is None:
            return RowThinking(n_tokens=0)
        return RowThinking(split.answer, self._tokens_within(tokens, split.closed))

    def _split(self, text: str) -> ThinkingSplit:
        assert self._marks is not None  # noqa: S101 - for the type checker
        return split_thinking(text, self._marks, self._opened)

    def _tokens_within(self, tokens: Sequence[int], length: int) -> int:
        """Return the number of tokens whose text has at most this length."""

        def fits(count: int) -> bool:
            head = tokens[:count]
            special = not self._has_special_marks
            return len(self._tokenizer.decode(head, skip_special_tokens=special)) <= length

        low, high = 0, len(tokens)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        # The first bytes of a character decode to more characters than the whole one.
        ahead = range(low, min(low + _LONGEST_CHARACTER, len(tokens)) + 1)
        return max(count for count in ahead if fits(count))

    @cached_property
    def _opened(self) -> bool:
        return self._marks is not None and opens_thinking(
            self._tokenizer, self._marks, self._prompt_ids
        )

    @cached_property
    def _has_special_marks(self) -> bool:
        marks = self._marks
        return marks is not None and bool(special_texts(self._tokenizer, (marks.start, marks.end)))

    @property
    def _special_ids(self) -> frozenset[int]:
        added = getattr(self._tokenizer, "added_tokens_decoder", {})
        ids = {index for index, token in added.items() if token.special}
        return frozenset(ids | set(self._tokenizer.all_special_ids))


def special_texts(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """Return the texts that hold a special token, which decoding drops."""
    if not texts:
        return []
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    tokens = {str(token) for token in getattr(tokenizer, "all_special_tokens", ())}
    tokens |= {str(token) for token in added if token.special}
    return [text for text in texts if any(token in text for token in tokens)]

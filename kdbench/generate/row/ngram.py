"""The rule that no n-gram of prompt and response occurs twice, applied incrementally.

It bans the same tokens as transformers' NoRepeatNGramLogitsProcessor, which rescans every row at
every step.
"""

from collections import defaultdict
from collections.abc import Sequence


class SeenNGrams:
    """The n-grams of one row.

    Args:
        size: Length n of the n-grams; 0 bans nothing.
        tokens: Token ids of the prompt.
    """

    def __init__(self, size: int, tokens: Sequence[int]):
        self._size = size
        self._last: tuple[int, ...] = ()
        self._followers: dict[tuple[int, ...], set[int]] = defaultdict(set)
        if size:
            for token in tokens:
                self.append(token)

    def append(self, token: int) -> None:
        """Add the row's next token."""
        if not self._size:
            return
        if len(self._last) == self._size - 1:
            self._followers[self._last].add(token)
        self._last = (*self._last, token)[-(self._size - 1) :] if self._size > 1 else ()

    def banned(self) -> set[int]:
        """Return the tokens that would repeat an n-gram."""
        if not self._size or len(self._last) < self._size - 1:
            return set()
        return self._followers.get(self._last, set())

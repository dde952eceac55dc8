"""Which tokens of a response are private, recorded beside them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kdbench.errors import InputError
from kdbench.training.source import Draw, FromDataset, Source
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Example, Rollout
from kdbench.views.token_text import token_starts

if TYPE_CHECKING:
    from kdbench.training.context import Context

PrivateRule = Literal["spans", "digits"]
_FIELD = "private"


@dataclass
class MarkPrivate(Wrapper):
    """Another source, whose tokens have a recorded scalar `private`: 1 if they are, otherwise 0.

    Attributes:
        rule: `spans`: tokens that write a part of one of the texts in the row's field `private`, a
            list; `digits`: those that write a part of a number.
        source: The source of the responses.
    """

    rule: PrivateRule = "spans"
    source: Source = field(default_factory=FromDataset)

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the other source, and the list of private texts."""
        return (*self.source.fields, *((_FIELD,) if self.rule == "spans" else ()))

    def check(self, train: Sequence[Example]) -> None:
        """Check that private texts are lists of texts, and part of their response.

        Raises:
            InputError: Those of a row are not.
        """
        self.source.check(train)
        for example in train if self.rule == "spans" else ():
            texts = example.field(_FIELD)
            if not isinstance(texts, list) or not all(isinstance(t, str) and t for t in texts):
                raise InputError(
                    f"row '{example.id}': the field {_FIELD} is {texts!r}: must be a list of "
                    "texts, [] if nothing is private"
                )
            for text in texts:
                if text not in example.references[0]:
                    raise InputError(
                        f"row '{example.id}': the private text {text!r} is not in its response"
                    )

    def begin(self, context: "Context") -> None:
        """Keep the tokenizer."""
        self.source.begin(context)
        self._tokenizer = context.tokenizer

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses with their scalars."""
        return [row.with_recorded(private=self._marks(row)) for row in self.source.rollouts(draw)]

    def _marks(self, row: Rollout) -> list[float]:
        """1 for each token that writes a part of a private place, otherwise 0."""
        text, starts = token_starts(self._tokenizer, row.response_ids)
        places = list(self._places(text, row.example))
        marks, end = [], len(text.encode())
        for start in reversed(starts):
            # A token that begins inside a character belongs to that of the next place, too.
            begin = end - 1 if start is None else start
            marks.append(float(any(begin < last and first < end for first, last in places)))
            end = end if start is None else start
        return marks[::-1]

    def _places(self, text: str, example: Example | None) -> Iterator[tuple[int, int]]:
        """The private parts of a text, each from one byte up to another."""
        texts = example.field(_FIELD) if example and self.rule == "spans" else []
        for pattern in map(re.escape, texts) if self.rule == "spans" else (r"\d+",):
            # Places may overlap: a text may be a part of another one.
            for found in re.finditer(f"(?=({pattern}))", text):
                first, last = found.span(1)
                yield len(text[:first].encode()), len(text[:last].encode())

    def __str__(self) -> str:
        return f"{self.source}, private {self.rule}"

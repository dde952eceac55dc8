"""Rows that decode together: prompts go in, tokens one by one, next-token logits come out.

A decoding knows the prompts of all rows in a queue and begins as many of them as have a place.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.generate.decoding.prefill import Prompts, forward, prefill

if TYPE_CHECKING:
    import torch


class Decoding(Interface):
    """Rows that decode together.

    Attributes:
        logits: of the next token of each row, shape (rows, V); V is the tokenizer's vocabulary.
        leaving_share: of rows that have finished, at which the others had better go on alone.
        can_replace: whether a row that has finished can give its place to another.
        runs_ahead: whether `advance` returns before the device is done, so that the host had better
            look at the tokens meanwhile.
    """

    logits: "torch.Tensor"
    leaving_share: float
    can_replace: bool
    runs_ahead: bool

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token, int64 of shape (rows,)."""

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin rows of the queue, by number, in these places."""

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these places only, int64."""


# Prompts of all rows of the queue, places for rows, room for tokens to come.
Begin = Callable[[Prompts, int, int], Decoding]


class CachedDecoding:
    """The decoding of one model with transformers' own cache: of any kind, to the end of its rows.

    Args:
        model: a transformers model in evaluation mode.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: of the queue; the first `places` begin, equal ones are run once.
        places: number of rows.
        room: number of tokens to come.
    """

    leaving_share, can_replace, runs_ahead = 1 / 8, False, False

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, places: int, room: int):
        import torch

        self._model, self._vocabulary = model, vocabulary
        prompts = prompts[:places]
        distinct = list(dict.fromkeys(prompts))
        filled = prefill(model, vocabulary, distinct)
        place = {prompt: index for index, prompt in enumerate(distinct)}
        of_row = torch.tensor([place[prompt] for prompt in prompts], device=model.device)
        self._cache = filled.cache
        self._cache.reorder_cache(of_row)
        self._length = filled.mask.shape[1]
        # The columns of tokens to come are attended to as soon as `_length` reaches them.
        coming = filled.mask.new_ones(len(distinct), room)
        self._mask = torch.cat([filled.mask, coming], dim=1)[of_row]
        self.logits = filled.logits[of_row]

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token."""
        self._length += 1
        mask = self._mask[:, : self._length]
        positions = mask.sum(-1, keepdim=True) - 1
        logits = forward(self._model, tokens[:, None], mask, positions, self._cache)
        self.logits = logits[:, : self._vocabulary]

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Not here: all rows share the columns of the cache.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only."""
        self._mask, self.logits = self._mask[rows], self.logits[rows]
        self._cache.reorder_cache(rows)


class MixedDecoding:
    """Teacher-mixed sampling: each token from (1 - w) * student + w * teacher (MiniLLM, eq. 7).

    Args:
        student: decoding of the student's rows.
        teacher: decoding of the same rows.
        teacher_weight: w, 0 to 1.
    """

    def __init__(self, student: Decoding, teacher: Decoding, teacher_weight: float):
        self._student, self._teacher, self._weight = student, teacher, teacher_weight
        self.leaving_share, self.runs_ahead = student.leaving_share, student.runs_ahead
        self.can_replace = student.can_replace and teacher.can_replace
        self.logits = self._mix()

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token."""
        self._student.advance(tokens)
        self._teacher.advance(tokens)
        self.logits = self._mix()

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin other rows in these places."""
        self._student.replace(places, rows)
        self._teacher.replace(places, rows)
        self.logits = self._mix()

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only."""
        self._student.keep(rows)
        self._teacher.keep(rows)
        self.logits = self.logits[rows]

    def _mix(self) -> "torch.Tensor":
        """Log-probabilities, which are logits too."""
        student = self._student.logits.float().log_softmax(-1)
        teacher = self._teacher.logits.float().log_softmax(-1).to(student.device)
        if self._weight in (0.0, 1.0):
            return teacher if self._weight else student
        student = student + math.log(1 - self._weight)
        return student.logaddexp(teacher + math.log(self._weight))


def of_model(model: Any, vocabulary: int) -> Begin:
    """Decodings of one model, the fastest kind that it allows."""
    from kdbench.generate.decoding.placed import PlacedDecoding, can_place
    from kdbench.generate.decoding.replay import ReplayedDecoding, can_replay

    if not can_place(model):
        return partial(CachedDecoding, model, vocabulary)
    return partial(ReplayedDecoding if can_replay(model) else PlacedDecoding, model, vocabulary)


def of_mixture(student: Begin, teacher: Begin, teacher_weight: float) -> Begin:
    """Decodings of a student with a share of its teacher."""

    def begin(prompts: Prompts, places: int, room: int) -> Decoding:
        own, other = (one(prompts, places, room) for one in (student, teacher))
        return MixedDecoding(own, other, teacher_weight)

    return begin

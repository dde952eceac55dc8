"""Decodings of rows together: they take prompts and tokens, and return next-token logits.

A decoding has the prompts of all rows in a queue, and begins as many rows as it has places.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.generate.decoding.prefill import Prompts, forward, prefill

if TYPE_CHECKING:
    import torch


class Decoding(Interface):
    """Rows that decode together.

    Attributes:
        logits: Logits of each row's next token, (rows, V); V is the tokenizer's vocabulary.
        leaving_share: Share of finished rows from which it pays to drop them from the batch.
        can_replace: Whether a new row can take the place of a finished one.
        runs_ahead: Whether `advance` returns before the device is done, so that the host can read
            the previous tokens meanwhile.
    """

    logits: "torch.Tensor"
    leaving_share: float
    can_replace: bool
    runs_ahead: bool

    def advance(self, tokens: "torch.Tensor") -> None:
        """Run one step with each row's next token, int64 of shape (rows,)."""

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin new rows in places of finished ones.

        Args:
            places: Indices of the places.
            rows: Indices in the queue of the rows that take them.
        """

    def keep(self, rows: "torch.Tensor") -> None:
        """Keep the rows in these places only, int64."""


Begin = Callable[[Prompts, int, int], Decoding]
"""Begins a decoding of: the prompts of a queue, the number of places, the tokens to come."""


class CachedDecoding:
    """The decoding of one model with transformers' own cache of any kind; places are not reused.

    Args:
        model: transformers model in evaluation mode.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of the queue; the first `places` begin, and equal prompts are run once.
        places: Number of rows that decode together.
        room: Largest number of tokens to come.
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
        # The columns of tokens to come are attended to once `_length` reaches them.
        coming = filled.mask.new_ones(len(distinct), room)
        self._mask = torch.cat([filled.mask, coming], dim=1)[of_row]
        self.logits = filled.logits[of_row]

    def advance(self, tokens: "torch.Tensor") -> None:
        """Run one step with each row's next token."""
        self._length += 1
        mask = self._mask[:, : self._length]
        positions = mask.sum(-1, keepdim=True) - 1
        logits = forward(self._model, tokens[:, None], mask, positions, self._cache)
        self.logits = logits[:, : self._vocabulary]

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Raise an error: all rows share the columns of the cache.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError

    def keep(self, rows: "torch.Tensor") -> None:
        """Keep these rows only."""
        self._mask, self.logits = self._mask[rows], self.logits[rows]
        self._cache.reorder_cache(rows)


class MixedDecoding:
    """Teacher-mixed sampling: each token from (1 - w) * student + w * teacher (MiniLLM, eq. 7).

    Args:
        student: Decoding of the rows with the student.
        teacher: Decoding of the same rows with the teacher.
        teacher_weight: Weight w of the teacher, 0 to 1.
    """

    def __init__(self, student: Decoding, teacher: Decoding, teacher_weight: float):
        self._student, self._teacher, self._weight = student, teacher, teacher_weight
        self.leaving_share, self.runs_ahead = student.leaving_share, student.runs_ahead
        self.can_replace = student.can_replace and teacher.can_replace
        self.logits = self._mix()

    def advance(self, tokens: "torch.Tensor") -> None:
        """Run one step with each row's next token."""
        self._student.advance(tokens)
        self._teacher.advance(tokens.to(self._teacher.logits.device))
        self.logits = self._mix()

    def replace(self, places: Sequence[int], rows: Sequence[int]) -> None:
        """Begin new rows in these places."""
        self._student.replace(places, rows)
        self._teacher.replace(places, rows)
        self.logits = self._mix()

    def keep(self, rows: "torch.Tensor") -> None:
        """Keep these rows only."""
        self._student.keep(rows)
        self._teacher.keep(rows.to(self._teacher.logits.device))
        self.logits = self.logits[rows]

    def _mix(self) -> "torch.Tensor":
        """Return the log-probabilities of the mixture, which are logits too."""
        student = self._student.logits.float().log_softmax(-1)
        teacher = self._teacher.logits.float().log_softmax(-1).to(student.device)
        if self._weight in (0.0, 1.0):
            return teacher if self._weight else student
        student = student + math.log(1 - self._weight)
        return student.logaddexp(teacher + math.log(self._weight))


def of_model(model: Any, vocabulary: int, frozen: bool = False) -> Begin:
    """Return the fastest kind of decoding that a model allows.

    Args:
        model: transformers model in evaluation mode.
        vocabulary: Number of tokens of the tokenizer.
        frozen: Whether the weights stay as they are, so that all queues share one copy of them.
    """
    from kdbench.generate.decoding.linears import linears_of
    from kdbench.generate.decoding.placed import PlacedDecoding, can_place
    from kdbench.generate.decoding.replay import ReplayedDecoding, can_replay

    if not can_place(model):
        return partial(CachedDecoding, model, vocabulary)
    kind = ReplayedDecoding if can_replay(model) else PlacedDecoding
    linears = cache(partial(linears_of, model)) if frozen else None
    return partial(kind, model, vocabulary, linears=linears)


def of_mixture(student: Begin, teacher: Begin, teacher_weight: float) -> Begin:
    """Return decodings of the mixture of a student and its teacher.

    Args:
        student: How the student decodes.
        teacher: How the teacher decodes.
        teacher_weight: Weight of the teacher, 0 to 1.
    """

    def begin(prompts: Prompts, places: int, room: int) -> Decoding:
        return MixedDecoding(
            student(prompts, places, room), teacher(prompts, places, room), teacher_weight
        )

    return begin

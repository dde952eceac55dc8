"""A batch that decodes: prompts go in once, tokens one by one, next-token logits come out."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

if TYPE_CHECKING:
    import torch

Prompts = Sequence[tuple[int, ...]]


class Decoding(Interface):
    """Rows that decode together.

    Attributes:
        logits: of the next token of each row, shape (rows, V); V is the tokenizer's vocabulary.
        leaving_share: of rows that have finished, at which the others had better go on alone.
        runs_ahead: whether `advance` returns before the device is done, so that the host can look
            at the tokens meanwhile.
    """

    logits: "torch.Tensor"
    leaving_share: float
    runs_ahead: bool

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only, int64."""

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token, int64 of shape (rows,)."""


Begin = Callable[[Prompts, int], Decoding]  # prompts of the rows, room for tokens to come


class CachedDecoding:
    """The decoding of one model, with its key-value cache.

    Rows leave when an eighth has finished: each time, the others' caches are copied together.

    Args:
        model: a transformers model in evaluation mode.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: of each row; equal ones are run once.
        room: number of tokens to come.
    """

    leaving_share, runs_ahead = 1 / 8, False

    def __init__(self, model: Any, vocabulary: int, prompts: Prompts, room: int):
        import torch
        from transformers import DynamicCache

        self._model, self._vocabulary = model, vocabulary
        self._accepts = set(inspect.signature(type(model).forward).parameters)
        distinct = list(dict.fromkeys(prompts))
        longest = max(map(len, distinct))
        ids = torch.zeros(len(distinct), longest, dtype=torch.long)
        # The columns of tokens to come are attended to as soon as `_length` reaches them.
        mask = torch.ones(len(distinct), longest + room, dtype=torch.long)
        for index, prompt in enumerate(distinct):
            ids[index, longest - len(prompt) :] = torch.tensor(prompt)
            mask[index, : longest - len(prompt)] = 0
        self._cache, self._mask = DynamicCache(config=model.config), mask.to(model.device)
        self._length = 0
        logits = self._forward(ids.to(model.device))
        place = {prompt: index for index, prompt in enumerate(distinct)}
        of_row = torch.tensor([place[prompt] for prompt in prompts], device=model.device)
        self._fan_out(of_row, room)
        self.logits = logits[of_row]

    def _fan_out(self, rows: "torch.Tensor", room: int) -> None:
        """Continue each prompt as one or more rows."""
        from kdbench.generate.cache import fan_out

        fan_out(self._cache, rows, room)
        self._mask = self._mask[rows]

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only."""
        self._mask, self.logits = self._mask[rows], self.logits[rows]
        for layer in self._cache.layers:
            if hasattr(layer, "batch_select_indices"):
                layer.batch_select_indices(rows)
            else:
                layer.reorder_cache(rows)

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token."""
        self.logits = self._forward(tokens[:, None])

    def _forward(self, ids: "torch.Tensor") -> "torch.Tensor":
        end = self._length + ids.shape[1]
        mask = self._mask[:, :end]
        extra: dict[str, Any] = {}
        if "position_ids" in self._accepts:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            extra["position_ids"] = positions[:, self._length :]
        if "logits_to_keep" in self._accepts:
            extra["logits_to_keep"] = 1
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **extra,
        )
        self._length = end
        logits: torch.Tensor = output.logits[:, -1, : self._vocabulary]
        return logits


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
        self.logits = self._mix()

    def keep(self, rows: "torch.Tensor") -> None:
        """Go on with these rows only."""
        self._student.keep(rows)
        self._teacher.keep(rows)
        self.logits = self.logits[rows]

    def advance(self, tokens: "torch.Tensor") -> None:
        """Take each row's next token."""
        self._student.advance(tokens)
        self._teacher.advance(tokens)
        self.logits = self._mix()

    def _mix(self) -> "torch.Tensor":
        """Log-probabilities, which are logits too."""
        student = self._student.logits.float().log_softmax(-1)
        teacher = self._teacher.logits.float().log_softmax(-1).to(student.device)
        if self._weight in (0.0, 1.0):
            return teacher if self._weight else student
        student = student + math.log(1 - self._weight)
        return student.logaddexp(teacher + math.log(self._weight))


def of_model(model: Any, vocabulary: int) -> Begin:
    """Decodings of one model; on a GPU as a replayed graph where the model allows it."""
    from kdbench.generate.replay import ReplayedDecoding, can_replay

    kind = ReplayedDecoding if can_replay(model) else CachedDecoding
    return partial(kind, model, vocabulary)


def of_mixture(student: Begin, teacher: Begin, teacher_weight: float) -> Begin:
    """Decodings of a student with a share of its teacher."""

    def begin(prompts: Prompts, room: int) -> Decoding:
        return MixedDecoding(student(prompts, room), teacher(prompts, room), teacher_weight)

    return begin

"""A teacher with another tokenizer as a view of the student's response tokens.

Each of the student's N tokens is given the teacher's state where the teacher predicts for the same
group of text, so that chunks, masks and gradients are those of any view. Its distributions are over
the teacher's own vocabulary. Only objectives that say how they read it (`Objective.bridges`) are
given such a view.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.errors import InputError
from kdbench.views.reading import Reader, TeacherReading, Way
from kdbench.views.rollout import Batch
from kdbench.views.view import ModelView, chunk_length

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Groups:
    """The groups of a batch, at the student's N tokens.

    Attributes:
        begins: Whether a group, or a token without one, begins here, bool (N,).
        counts: Whether the group's loss is taken here, bool (N,).
        single: Whether both sides have one token, bool (N,).
        log_p_others: The log-probability of the group's other tokens under the teacher, float32
            (N,); 0 where it has one token.
        log_p_text: That of all its tokens; 0 where both sides have one.
    """

    begins: "torch.Tensor"
    counts: "torch.Tensor"
    single: "torch.Tensor"
    log_p_others: "torch.Tensor"
    log_p_text: "torch.Tensor"


class AlignedView(ModelView):
    """The teacher, at the student's response tokens.

    Args:
        view: The teacher over its own vocabulary.
        reader: How it reads the student's batches.
        way: Which token of a group predicts for it.

    Attributes:
        reader: The argument.
    """

    def __init__(self, view: ModelView, reader: Reader, way: Way):
        vars(self).update(vars(view))
        self.reader, self._inner, self._way = reader, view, way
        self._last: tuple[Batch, TeacherReading, torch.Tensor] | None = None

    def read(
        self, batch: Batch, layers: Collection[int]
    ) -> "tuple[torch.Tensor, Mapping[int, torch.Tensor]]":
        """A state of the teacher for each of the student's response tokens, (N, H)."""
        import torch

        reading = self.reader.read(batch, self._way)
        states, hidden = self._inner.read(reading.batch, layers)
        self._last = batch, reading, states
        places = [0] * len(batch.targets)  # for a token without a group any state will do
        for (first, stop), own in zip(reading.spans, reading.own, strict=True):
            places[first:stop] = [self._place(own)] * (stop - first)
        chosen = torch.tensor(places, device=batch.device)
        return states[chosen], {layer: hidden[layer][chosen] for layer in layers}

    def own_reading(self, batch: Batch) -> "tuple[TeacherReading, torch.Tensor]":
        """A batch in the teacher's tokens, and what its head is given there, (M, H)."""
        if self._last is None or self._last[0] is not batch:
            self.read(batch, ())
        assert self._last is not None  # noqa: S101 - it has just been read
        return self._last[1:]

    def groups(self, batch: Batch) -> Groups:
        """The groups of a batch."""
        import torch

        reading, states = self.own_reading(batch)
        begins, single = torch.ones(2, len(batch.targets), dtype=torch.bool)
        counts, sums = torch.zeros_like(begins), torch.zeros(2, len(begins))
        log_p = self._log_p(reading, states)
        for number, (first, stop) in enumerate(reading.spans):
            begins[first + 1 : stop] = False
            counts[self._place((first, stop))] = True
            single[first:stop] = number not in log_p
            sums[:, first:stop] = torch.tensor(log_p.get(number, (0.0, 0.0)))[:, None]
        made = begins, counts, single, *sums
        return Groups(*(tensor.to(batch.device) for tensor in made))

    def scalars(self, kind: str, batch: Batch) -> "torch.Tensor":
        """No scalar of the student's tokens is known.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"the teacher has another tokenizer, so the '{kind}' of the student's tokens is not "
            f"known ({len(batch.rollouts)} responses); read `AlignedView.groups`"
        )

    def _place(self, span: tuple[int, int]) -> int:
        return span[1] - 1 if self._way == "last" else span[0]

    def _log_p(
        self, reading: TeacherReading, states: "torch.Tensor"
    ) -> dict[int, tuple[float, float]]:
        """By group, unless both sides have one token: log p of its other tokens, and of all."""
        import torch

        wanted = [
            (number, place)
            for number, (mine, own) in enumerate(zip(reading.spans, reading.own, strict=True))
            for place in range(*own)
            if _size(mine) > 1 or _size(own) > 1
        ]
        sums: dict[int, tuple[float, float]] = {}
        size = chunk_length(self.vocabulary, reading.batch.device)
        with torch.no_grad():
            for start in range(0, len(wanted), size):
                some = wanted[start : start + size]
                places = torch.tensor([place for _, place in some], device=states.device)
                log_p = self.logits(states[places]).log_softmax(-1)
                found = log_p.gather(-1, reading.batch.targets[places][:, None])[:, 0].tolist()
                for (number, place), value in zip(some, found, strict=True):
                    others, text = sums.get(number, (0.0, 0.0))
                    others += 0.0 if place == self._place(reading.own[number]) else value
                    sums[number] = others, text + value
        return sums


def _size(span: tuple[int, int]) -> int:
    return span[1] - span[0]

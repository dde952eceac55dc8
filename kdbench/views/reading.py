"""How a teacher with another tokenizer reads the responses of a student's batch.

Source: GOLD (Patiño et al. 2025) and TRL's trainer of it: a group closes where the texts of both
sides end at the same byte. The probability of a group of tokens is the product of theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from kdbench.views.alignment import Alignment, TokenClasses, align, token_classes
from kdbench.views.rollout import Batch, Rollout

Way = Literal["first", "last", "index"]
"""Which token of a group predicts for it: its first or its last one; or, without regard to the
texts, the tokens of equal number in both responses."""

Span = tuple[int, int]
_KEPT = 2**14  # alignments; those of a data set are needed again in every epoch


@dataclass(frozen=True)
class TeacherReading:
    """A batch as the teacher reads it.

    Attributes:
        batch: The same responses in the teacher's tokens, M of them.
        spans: For each group the student's tokens, [start, stop), among the N of its batch.
        own: For each group the teacher's, among the M.
    """

    batch: Batch
    spans: tuple[Span, ...]
    own: tuple[Span, ...]


@dataclass(frozen=True)
class Reader:
    """Reads what the student reads, in the teacher's tokens.

    Attributes:
        student: The student's tokenizer.
        teacher: The teacher's.
        prompts: The prompts as the teacher is asked, by the id of the example.
        ends: The student's end tokens.
        positions: The number of positions of the teacher; what is beyond is left out. None if it
            has no limit.
    """

    student: Any
    teacher: Any
    prompts: Mapping[str, tuple[int, ...]]
    ends: frozenset[int]
    positions: int | None = None
    _alignments: dict[tuple[tuple[int, ...], str], Alignment] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def classes(self) -> TokenClasses:
        """The tokens that both vocabularies have by text."""
        return token_classes(self.student, self.teacher)

    def read(self, batch: Batch, way: Way) -> TeacherReading:
        """The batch in the teacher's tokens, and the groups in which the two compare."""
        rows, spans, own = [], list[Span](), list[Span]()
        first, own_first = 0, 0
        for rollout in batch.rollouts:
            prompt, before = self._asked(rollout)
            aligned = self._aligned(rollout.response_ids, before)
            # An empty text, of which nothing is compared, still has a place in the batch.
            response = aligned.teacher_response or (self.teacher.eos_token_id,)
            if self.positions is not None:
                response = response[: max(1, self.positions - len(prompt))]
            for mine, theirs in _pairs(aligned, way):
                if theirs[1] <= len(response):
                    spans.append((first + mine[0], first + mine[1]))
                    own.append((own_first + theirs[0], own_first + theirs[1]))
            rows.append(replace(rollout, prompt_ids=prompt, response_ids=response, recorded={}))
            first, own_first = first + len(rollout.response_ids), own_first + len(response)
        return TeacherReading(Batch(rows, batch.device), tuple(spans), tuple(own))

    def _asked(self, rollout: Rollout) -> tuple[tuple[int, ...], str]:
        """The teacher's prompt, and the part of it that the student has in its response."""
        example = rollout.example
        known = None if example is None else self.prompts.get(example.id)
        if example is None or known is None:  # a plain text
            text = self._text(rollout.prompt_ids)
            ids = self.teacher(text, add_special_tokens=False)["input_ids"]
            return tuple(ids) or (self.teacher.eos_token_id,), ""
        if rollout.prompt_ids == example.prompt_ids:
            return known, ""
        whole, kept = self._text(example.prompt_ids), self._text(rollout.prompt_ids)
        return known, whole.removeprefix(kept) if whole.startswith(kept) else ""

    def _text(self, ids: tuple[int, ...]) -> str:
        text: str = self.student.decode(ids, clean_up_tokenization_spaces=False)
        return text

    def _aligned(self, response: tuple[int, ...], before: str) -> Alignment:
        key = response, before
        if key not in self._alignments:
            while len(self._alignments) >= _KEPT:
                del self._alignments[next(iter(self._alignments))]
            self._alignments[key] = align(self.student, self.teacher, response, self.ends, before)
        return self._alignments[key]


def _pairs(aligned: Alignment, way: Way) -> list[tuple[Span, Span]]:
    if way != "index":
        return aligned.matched()
    count = min(len(aligned.meeting), len(aligned.teacher_response))
    return [((place, place + 1), (place, place + 1)) for place in range(count)]

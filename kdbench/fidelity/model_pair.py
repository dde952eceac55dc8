"""A student and its teacher on one task: what the two share, and the texts to compare them on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kdbench.fidelity.aligned import AlignedTeacher
from kdbench.fidelity.forward import TeacherScorer
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.texts import (
    REFERENCE_SEED,
    ComparedText,
    reencoded,
    reference_texts,
    sampled_texts,
    shared_texts,
)
from kdbench.generate import Prompt
from kdbench.measuring.measurement import Measurement
from kdbench.measuring.scoring import answers_of, with_final_answers
from kdbench.metrics import Answer, PositionSet
from kdbench.store.samples import Samples
from kdbench.task import Task
from kdbench.views import SharedTokens, shared_tokens
from kdbench.views.alignment import (
    Alignment,
    TokenClasses,
    align,
    token_classes,
)


@dataclass(frozen=True)
class SetTexts:
    """The texts of a position set.

    Attributes:
        position_set: The position set.
        seeds: Seeds of the texts.
        texts: Texts that both models can score.
        left_out: Number of texts that not both can score.
    """

    position_set: PositionSet
    seeds: Sequence[int]
    texts: Sequence[ComparedText]
    left_out: int


@dataclass(frozen=True)
class ModelPair:
    """A student and its teacher on one task.

    Attributes:
        student: The student's measurement.
        teacher: The teacher.
        task: The task.
    """

    student: Measurement
    teacher: Teacher
    task: Task

    @cached_property
    def shared_tokens(self) -> SharedTokens:
        """The tokens that both models know."""
        return shared_tokens(self.student.backend.tokenizer, self.teacher.tokenizer)

    @cached_property
    def student_prompts(self) -> Mapping[str, Prompt]:
        """The prompts as the student reads them, by document."""
        return self.student.prompts(self.task)

    @cached_property
    def teacher_prompts(self) -> Mapping[str, Prompt]:
        """The prompts as the teacher reads them, by document."""
        return self.teacher.prompts(self.task)

    @property
    def tokenizer_difference(self) -> str | None:
        """Why the two models' tokens do not compare; None if they do."""
        difference = self.shared_tokens.difference
        return difference and f"student and teacher have different tokenizers ({difference})"

    def why_no_probabilities(self) -> str | None:
        """Return why the two models' distributions do not compare; None if they do."""
        if self.student.backend.model is None:
            return f"backend={self.student.settings.backend} does not show probabilities"
        return None if self.is_aligned else self.tokenizer_difference

    @cached_property
    def is_aligned(self) -> bool:
        """Whether different tokenizers are compared where both begin a token."""
        return self.tokenizer_difference is not None and self.teacher.own_view() is not None

    @cached_property
    def classes(self) -> TokenClasses:
        """The classes over which different vocabularies compare."""
        return token_classes(self.student.backend.tokenizer, self.teacher.tokenizer)

    @property
    def has_rest(self) -> bool:
        """Whether tokens that only one of the two has form one class of their own."""
        return self.is_aligned and self.classes.has_rest

    @property
    def vocabulary(self) -> int:
        """Number of tokens of the student over which its distribution is taken."""
        return self.classes.student_size if self.is_aligned else self.shared_tokens.size

    def teacher_scorer(self) -> TeacherScorer:
        """Return a function that gives the teacher's scores of a batch of the student's texts."""
        view = self.teacher.own_view() if self.is_aligned else None
        if view is None:
            return self.teacher.scorer(self.teacher_prompts, self.shared_tokens.size)
        return AlignedTeacher(view, self.teacher_prompts, self.classes, self.align).scorer()

    def align(self, text: ComparedText) -> Alignment:
        """Find where the teacher's tokens of a text begin with the student's."""
        backend, response = self.student.backend, text.rollout.response_ids
        if response not in self._alignments:
            self._alignments[response] = align(
                backend.tokenizer, self.teacher.tokenizer, response, backend.ends
            )
        return self._alignments[response]

    @cached_property
    def _alignments(self) -> dict[tuple[int, ...], Alignment]:
        """Alignments so far, by response; each is needed to choose the texts and to score them."""
        return {}

    def _readable(self, texts: Sequence[ComparedText]) -> list[ComparedText]:
        """The texts with tokens in both vocabularies that fit into both models' context.

        Each model has room for what it generates, but the same text can have more tokens for the
        other one.
        """
        view = self.teacher.own_view()
        room = _positions(self.student.backend.model)
        teacher_room = _positions(None if view is None else view.bare)
        kept = []
        for text in texts:
            theirs = self.align(text).teacher_response
            length = len(self.teacher_prompts[text.rollout.id].ids) + len(theirs)
            has_tokens = bool(text.rollout.response_ids) and bool(theirs)
            if has_tokens and text.length <= room and length <= teacher_room:
                kept.append(text)
        return kept

    def why_no_shared_tokens(self) -> str | None:
        """Return why the responses' token ids do not compare; None if they do or are not known."""
        if self.student.backend.tokenizer is None or self.teacher.tokenizer is None:
            return None
        return self.tokenizer_difference

    def texts(self, position_set: PositionSet) -> SetTexts:
        """Return the texts of a position set."""
        seeds, texts = self._all_texts(position_set)
        if self.is_aligned:
            kept = self._readable(texts)
            return SetTexts(position_set, seeds, kept, len(texts) - len(kept))
        ends = self.student.backend.ends | self.teacher.ends
        shared = shared_texts(texts, self.shared_tokens, ends)
        return SetTexts(position_set, seeds, shared, len(texts) - len(shared))

    def _all_texts(self, position_set: PositionSet) -> tuple[Sequence[int], list[ComparedText]]:
        documents, tokenizer = self.task.documents, self.student.backend.tokenizer
        if position_set == "ref":
            limit = self.student.protocol.max_new_tokens
            texts = reference_texts(documents, self.student_prompts, tokenizer, limit)
            return [REFERENCE_SEED], texts
        by_student = position_set == "student"
        seeds = self.student.protocol.seeds if by_student else self.teacher.seeds
        writer = self.student if by_student else self.teacher
        samples = writer.samples(self.task)
        ordered = [samples[document.id, seed] for document in documents for seed in seeds]
        if self.is_aligned and not by_student:
            ordered = reencoded(ordered, self.teacher.tokenizer, self.teacher.ends, tokenizer)
        return seeds, sampled_texts(ordered, self.student_prompts, tokenizer, position_set)

    def student_answers(self) -> dict[int, list[Answer]]:
        """Return the student's responses by seed, in document order."""
        return self._answers(self.student.protocol.seeds, self.student.samples(self.task))

    def teacher_answers(self, with_tokens: bool = True) -> dict[int, list[Answer]]:
        """Return the teacher's responses by seed, in document order.

        Args:
            with_tokens: Whether their token ids mean the same to the student.
        """
        answers = self._answers(self.teacher.seeds, self.teacher.samples(self.task))
        if with_tokens:
            return answers
        return {
            seed: [replace(answer, tokens=None) for answer in column]
            for seed, column in answers.items()
        }

    def _answers(self, seeds: Sequence[int], samples: Samples) -> dict[int, list[Answer]]:
        return with_final_answers(self.task, samples, answers_of(self.task, seeds, samples))


def _positions(model: Any) -> float:
    """The number of positions of a model; infinite if it has no limit."""
    config = getattr(model, "config", None)
    return getattr(config, "max_position_embeddings", None) or math.inf

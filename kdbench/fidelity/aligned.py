"""A teacher of a different tokenizer, as it scores the texts of the student.

Source: the groups of GOLD (Patiño et al. 2025), which close where both tokenizations meet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.fidelity.forward import TeacherScorer
from kdbench.fidelity.texts import ComparedText
from kdbench.metrics import AlignedPositions, Positions, PositionSet
from kdbench.views import Batch, ModelView, Rollout, chunk_length
from kdbench.views.alignment import Alignment, TokenClasses, classes_of, joint_ids

if TYPE_CHECKING:
    import torch

    from kdbench.generate import Prompt


@dataclass(frozen=True)
class AlignedTeacher:
    """A loaded teacher whose tokenizer is not the student's.

    Attributes:
        view: The teacher over its own vocabulary.
        prompts: The prompts as the teacher reads them, by document.
        classes: The classes over which the vocabularies compare.
        align: Function from a text of the student's tokens to its alignment.
    """

    view: ModelView
    prompts: "Mapping[str, Prompt]"
    classes: TokenClasses
    align: Callable[[ComparedText], Alignment]

    def scorer(self) -> TeacherScorer:
        """A function that scores the texts of a batch."""
        self.view.check()
        ids = joint_ids(self.classes)

        def score(batch: Batch, texts: Sequence[ComparedText]) -> AlignedScores:
            return AlignedScores(self, [self.align(text) for text in texts], batch, ids)

        return score


class AlignedScores:
    """The teacher's scores of one batch, at the places where its tokens begin with the student's.

    Args:
        teacher: The teacher.
        alignments: One for each text of the batch.
        batch: The batch, in the student's tokens.
        ids: Joint ids of both vocabularies.
    """

    def __init__(
        self,
        teacher: AlignedTeacher,
        alignments: Sequence[Alignment],
        batch: Batch,
        ids: "Mapping[str, torch.Tensor]",
    ):
        import torch

        rollouts = [
            Rollout(
                rollout.id,
                teacher.prompts[rollout.id].ids,
                alignment.teacher_response,
                rollout.origin,
            )
            for rollout, alignment in zip(batch.rollouts, alignments, strict=True)
        ]
        self._view, self._classes, device = teacher.view, teacher.classes, batch.device
        own = Batch(rollouts, device)
        self._states = self._view.states(own)
        places = _in_batch(alignments)
        self._place = torch.tensor(places.place, device=device)
        self._group = torch.tensor(places.group, device=device)
        self._meets = torch.tensor(places.meets, device=device)
        self._group_log_p = self._sums(own, places.groups)
        self._ids = {side: joint.to(device) for side, joint in ids.items()}
        self._student_ids = torch.tensor(teacher.classes.student_ids, device=device)
        self._teacher_ids = torch.tensor(teacher.classes.teacher_ids, device=device)

    def _sums(self, own: Batch, groups: Sequence[tuple[int, int]]) -> "torch.Tensor":
        """Log-probability of the tokens of each group, in float64, (groups,)."""
        import torch

        size = max(16, chunk_length(self._view.vocabulary, self._states.device.type) // 2)
        chunks = [
            self._view.log_probs(self._states[part])[0].gather(-1, own.targets[part][:, None])
            for part in torch.arange(len(self._states), device=self._states.device).split(size)
        ]
        log_p = torch.cat(chunks)[:, 0].double()
        bounds = torch.tensor(groups, device=log_p.device)
        total = torch.cat([log_p.new_zeros(1), log_p.cumsum(0)])
        return total[bounds[:, 1]] - total[bounds[:, 0]]

    def positions(
        self,
        chunk: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        position_set: PositionSet,
    ) -> "tuple[Positions, torch.Tensor]":
        """Join both distributions over the classes; places that do not meet are marked."""
        meets = self._meets[chunk]
        whole_log_p, _ = self._view.log_probs(self._states[self._place[chunk]])
        has_rest = self._classes.has_rest
        log_p, cut = classes_of(whole_log_p, self._teacher_ids, has_rest)
        shared_log_q, _ = classes_of(log_q, self._student_ids, has_rest)
        at = AlignedPositions(
            log_p,
            shared_log_q,
            ((whole_log_p, self._ids["teacher"]), (log_q, self._ids["student"])),
            self._group_log_p[self._group[chunk]].masked_fill(~meets, 0.0).to(log_q.dtype),
            targets,
            position_set,
            meets,
        )
        return at, cut

    def close(self) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True)
class _Places:
    """Where the teacher's tokens are that a batch of the student's tokens meets.

    Attributes:
        place: For each of the student's tokens the last of the teacher's that it meets.
        group: The number of that meeting.
        meets: Whether it begins with this token.
        groups: For each meeting the teacher's tokens up to the next one, [start, stop).
    """

    place: list[int]
    group: list[int]
    meets: list[bool]
    groups: list[tuple[int, int]]


def _in_batch(alignments: Sequence[Alignment]) -> _Places:
    """Places of the texts one after another."""
    places = _Places([], [], [], [])
    first = 0
    for alignment in alignments:
        starts = iter(alignment.groups())
        for meeting in alignment.meeting:
            if meeting is not None:
                start, stop = next(starts)
                places.groups.append((first + start, first + stop))
            places.place.append(places.groups[-1][0])
            places.group.append(len(places.groups) - 1)
            places.meets.append(meeting is not None)
        first += len(alignment.teacher_response)
    return places

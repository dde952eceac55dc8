"""Responses of the student by an engine, compared with the trainer's own log-probabilities."""

from collections.abc import Callable, Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Row
from kdbench.training.micro_batch import STUDENT
from kdbench.training.notes import Notes
from kdbench.training.rollouts.gap import ROLLOUT_WEIGHT, Gap, gap_of, weights_of
from kdbench.training.rollouts.running import EngineRollouts
from kdbench.training.sampling import RolloutSampler
from kdbench.views.rollout import Rollout

_PLACE = "rollouts/"  # before the names of notes


class EngineSampler(RolloutSampler):
    """A sampler whose responses of the student are an engine's; those of other views are not.

    Args:
        rollouts: The engine.
        clip: Largest importance weight of a token; None if the method needs no weights.
        notes: Where the gap is noted: of the next line of the log, and of the whole run.
        logs: Whether this step's line is logged. Without weights, only then is the gap measured.
        others: What `RolloutSampler` takes.
    """

    def __init__(
        self,
        rollouts: EngineRollouts,
        clip: float | None,
        notes: Sequence[Notes],
        logs: Callable[[], bool],
        *others: Any,
    ):
        super().__init__(*others)
        self._rollouts, self._clip = rollouts, clip
        self._notes, self._logs = notes, logs

    def respond(
        self,
        asked: Sequence[Rollout],
        rows: Sequence[Row],
        step: int,
        view: str,
        teacher_weight: float = 0.0,
    ) -> list[Rollout]:
        """The rollouts with a response each; see `RolloutSampler.respond`.

        Raises:
            InputError: The teacher shall take part, whom the engine does not have.
        """
        if view != STUDENT or not rows:
            return super().respond(asked, rows, step, view, teacher_weight)
        if teacher_weight:
            raise no_teacher_inside()
        with self._phases("generate"):
            samples, version = self._rollouts.take(step, rows, step)
        self._phases.count("generate", sum(len(sample.tokens) for sample in samples))
        answered = [one.answered(two.tokens) for one, two in zip(asked, samples, strict=True)]
        self._note("lag", step - version, 1)
        if self._clip is None and not self._logs():
            return answered
        own = self.score(answered, STUDENT)
        engine = [sample.log_probs for sample in samples]
        self._note_gap(gap_of(own, engine))
        if self._clip is None:
            return answered
        weights = weights_of(own, engine, self._clip)
        self._note_weights(weights, self._clip)
        return [
            one.with_recorded(**{ROLLOUT_WEIGHT: row})
            for one, row in zip(answered, weights, strict=True)
        ]

    def sample_interleaved(self, *_: Any) -> Any:
        """Refuse: the teacher takes part.

        Raises:
            InputError: Always.
        """
        raise no_teacher_inside()

    def _note_gap(self, gap: Gap) -> None:
        self._note("gap", gap.absolute, gap.tokens)
        self._note("gap_largest", gap.largest, 1)
        self._note("kl_k1", gap.k1, gap.tokens)
        self._note("kl_k3", gap.k3, gap.tokens)

    def _note_weights(self, weights: Sequence[Sequence[float]], clip: float) -> None:
        flat = [value for row in weights for value in row]
        self._note("weight", sum(flat), len(flat))
        clipped = sum(value >= clip * (1 - 1e-9) for value in flat)
        self._note("weight_clipped", clipped, len(flat))

    def _note(self, name: str, total: float, count: int) -> None:
        for notes in self._notes:
            notes.add(f"{_PLACE}{name}", total, count)


def no_teacher_inside() -> InputError:
    """What is said where the teacher shall take part in an engine's sampling."""
    return InputError(
        "rollout_backend= samples from the student alone, and here the teacher takes part in the "
        "sampling: use rollout_backend=hf"
    )

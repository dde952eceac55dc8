"""What the first step teaches: whether the teacher changes it, and which weights it reaches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.training.cached_teacher import CachedTeacherView
from kdbench.training.chunk import TopK

if TYPE_CHECKING:
    import torch

    from kdbench.training.trainer import DistillationTrainer
    from kdbench.views.rollout import Batch, Rollout
    from kdbench.views.view import View

_ROWS = 4
_SAME = 1e-4  # relative difference of two gradients that rounding explains
_LITTLE = 1e-3

Gradients = dict[str, "torch.Tensor | None"]


class _OtherTeacher:
    """The teacher with the probabilities of tokens exchanged: another teacher, as sure as it."""

    def __init__(self, teacher: "View"):
        self._teacher = teacher

    def states(self, batch: "Batch") -> "torch.Tensor":
        return self._teacher.states(batch)

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        return self._teacher.logits(states).roll(1, dims=-1)


class _OtherTopK(CachedTeacherView):
    """The same for a teacher of which the likeliest tokens alone are known."""

    def __init__(self, teacher: CachedTeacherView):
        self._teacher = teacher

    def top_k(self, batch: "Batch") -> TopK:
        known = self._teacher.top_k(batch)
        return TopK(
            known.ids.roll(1, dims=-1), known.log_p.flip(-1), known.log_rest, known.log_rest
        )

    def scalars(self, kind: str, batch: "Batch") -> "torch.Tensor":
        return self._teacher.scalars(kind, batch)


@check("gradient", "weights", of=("train",))
def gradient(patient: Patient) -> Iterator[Finding]:
    """A teacher that does not change the gradient, and weights that it does not reach."""
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    trainer = patient.trainer
    if not patient.settings.lora_rank:
        yield from _frozen(trainer)
    rollouts = _rollouts(trainer, patient)
    own = _gradients(trainer, rollouts, trainer.views)
    size = _norm(own)
    patient.facts["gradient"] = {"norm": size, "rows": len(rollouts)}
    yield from _missed(own)
    if "teacher" in trainer.work.triple.views:
        given = trainer.views["teacher"]
        changed: View = (
            _OtherTopK(given) if isinstance(given, CachedTeacherView) else _OtherTeacher(given)
        )
        other = {**trainer.views, "teacher": changed}
        yield from _compared(patient, own, _gradients(trainer, rollouts, other))
    elif not size:
        yield _nothing(patient)


def _frozen(trainer: "DistillationTrainer") -> Iterator[Finding]:
    frozen = [n for n, weight in trainer.model.named_parameters() if not weight.requires_grad]
    if frozen:
        yield Finding(
            "warning",
            f"{len(frozen)} tensors of the student are frozen ({_some(frozen)})",
            "they stay as they are, without a word in any log",
            "student= of a checkpoint whose code freezes nothing",
        )


def _missed(gradients: Gradients) -> Iterator[Finding]:
    # A few rows need not reach every expert.
    missed = [n for n, value in gradients.items() if value is None and "expert" not in n]
    if missed:
        yield Finding(
            "warning",
            f"the loss reaches no part of {len(missed)} tensors of the student ({_some(missed)})",
            "they are not trained",
            "student= of an architecture that uses them",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _compared(patient: TrainPatient, own: Gradients, changed: Gradients) -> Iterator[Finding]:
    """Compare the gradient with that of another teacher."""
    size = _norm(own)
    largest = max(size, _norm(changed))
    difference = _distance(own, changed) / largest if largest else 0.0
    patient.facts["gradient"] |= {"changed_by_teacher": difference}
    if not largest:
        yield _nothing(patient)
    elif difference < _SAME:
        yield Finding(
            "error",
            f"with another teacher the gradient is the same (they differ by {difference:.1g} of "
            "their size)",
            "the loss does not depend on the teacher, so nothing is distilled",
            f"the keys of method={patient.settings.method} that weigh its terms, or the "
            "objective's code",
        )
    elif size < _LITTLE * largest:
        yield Finding(
            "error",
            f"the gradient is nearly zero: {size / largest:.1g} of that with another teacher",
            "student and teacher agree already, so there is nothing to learn",
            "a student= that differs from teacher=",
        )


def _nothing(patient: TrainPatient) -> Finding:
    return Finding(
        "error",
        f"the gradient of method={patient.settings.method} is zero",
        "nothing is learned",
        "the method's keys, or the objective's code",
    )


def _rollouts(trainer: "DistillationTrainer", patient: TrainPatient) -> "list[Rollout]":
    """Responses of the method's own source to the first rows."""
    from kdbench.generate.decoding.guard import SoundDecodings
    from kdbench.training.draw import StepDraw
    from kdbench.training.phases import Phases
    from kdbench.training.sampling import RolloutSampler

    work = trainer.work
    autocast = trainer.accelerator.autocast
    decodings = SoundDecodings(work.vocabulary)
    sampler = RolloutSampler(work, trainer.model, decodings, trainer.views, autocast, Phases())
    examples = work.train[:_ROWS]
    schedule = work.triple.schedule.values(0.0)
    seed = patient.settings.seed
    draw = StepDraw(sampler, seed, 0, 0, examples, len(examples), work.train, schedule)
    return work.triple.source.rollouts(draw)


def _gradients(
    trainer: "DistillationTrainer", rollouts: "list[Rollout]", views: "Mapping[str, View]"
) -> Gradients:
    """The gradient of each trained tensor, without dropout; None where none arrives."""
    from kdbench.training.loss import distillation_loss
    from kdbench.views.rollout import Batch

    model, work = trainer.model, trainer.work
    model.eval()
    model.zero_grad()
    batch = Batch(rollouts, trainer.args.device)
    values = work.triple.schedule.values(0.0)
    loss = distillation_loss(
        work.triple.terms,
        batch,
        views,
        None,
        values,
        work.chunk_tokens,
        parts=trainer.parts.modules,
    )
    loss.value.backward()
    trained = {n: weight for n, weight in model.named_parameters() if weight.requires_grad}
    found = {name: _detached(weight.grad) for name, weight in trained.items()}
    model.zero_grad()
    return found


def _detached(value: Any) -> Any:
    return None if value is None else value.detach()


def _norm(gradients: Gradients) -> float:
    squares = [
        float(value.double().square().sum()) for value in gradients.values() if value is not None
    ]
    return float(sum(squares) ** 0.5)


def _distance(one: Gradients, other: Gradients) -> float:
    total = 0.0
    for name, value in one.items():
        second = other[name]
        if value is not None and second is not None:
            total += float((value - second).double().square().sum())
    return float(total**0.5)

"""Learning rates with which a training diverges or learns nothing."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.sizes import parameter_count
from kdbench.doctor.train_patient import TrainPatient

# Published recipes train all weights of models from 120 million parameters with 5e-6 to 1e-3
# (MiniLLM, DistiLLM), and adapters with 1e-5 to 1e-3. Models of a million parameters take 1e-2.
_FULL, _SMALL, _LORA = (1e-7, 2e-3), (1e-6, 3e-2), (1e-6, 5e-3)
_SMALL_MODEL = 20e6


@check("learning_rate", "files", of=("train",))
def learning_rate(patient: Patient) -> Iterator[Finding]:
    """A learning rate that is far from those that work, or that never reaches its peak."""
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    settings = patient.settings
    rate, size = settings.learning_rate, parameter_count(patient.members[0], settings.student)
    low, high = _LORA if settings.lora_rank else _FULL
    if not settings.lora_rank and size is not None and size < _SMALL_MODEL:
        low, high = _SMALL
    kind = "an adapter" if settings.lora_rank else "all weights"
    if size is None and not settings.lora_rank:
        high = _SMALL[1]
    if not low <= rate <= high:
        effect = "diverges or forgets" if rate > high else "learns next to nothing"
        yield Finding(
            "warning",
            f"learning_rate={rate:g} for {kind}"
            + (f" of {size / 1e6:.3g} million parameters" if size else ""),
            f"recipes that work use {low:g} to {high:g}; beyond that a student usually {effect}",
            f"learning_rate= between {low:g} and {high:g}",
        )
    if settings.lr_schedule == "cosine" and settings.min_learning_rate >= rate:
        yield Finding(
            "warning",
            f"min_learning_rate={settings.min_learning_rate:g} is not below learning_rate={rate:g}",
            "the cosine schedule then rises instead of falling",
            "min_learning_rate= below learning_rate=, or lr_schedule=constant",
        )
    yield from _warm_up(patient)


def _warm_up(patient: TrainPatient) -> Iterator[Finding]:
    settings = patient.settings
    if not settings.warmup_steps:
        return
    rows = sum(len(rows) for rows in patient.training_sets.values())
    steps = patient.recipe.steps(rows)
    if settings.warmup_steps >= steps > 0:
        yield Finding(
            "warning",
            f"warmup_steps={settings.warmup_steps}, and the training has {steps} steps",
            "the learning rate never reaches its peak",
            "warmup_steps= of a few per cent of the steps",
        )

"""Whether the disk has room for the states and the checkpoint of a training."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.sizes import amount, architecture
from kdbench.doctor.train_patient import TrainPatient

# Of each trained parameter: two states (weights and AdamW's moments) while the newer one replaces
# the older, the best student so far and the finished one.
_BYTES_A_PARAMETER = 2 * 12 + 4 + 4
_RESULTS = 200e6  # samples and values of the five tasks


@check("disk", "tokens")
def disk(patient: Patient) -> Iterator[Finding]:
    """Room on the disk for what the run writes."""
    if isinstance(patient, TrainPatient):
        folder, key = patient.recipe.out, "out="
        size = architecture(patient.members[0], patient.settings.student).parameters
        need = float(_BYTES_A_PARAMETER * size)
        if patient.settings.lora_rank:
            need = 8.0 * size  # the adapter is small, the finished student is whole
    else:
        assert isinstance(patient, EvalPatient)  # noqa: S101 - for the type checker
        folder, key, need = patient.settings.results, "results=", _RESULTS
    free = shutil.disk_usage(_existing(folder)).free
    patient.facts["disk"] = {"bytes": need, "free": free}
    if need > free:
        yield Finding(
            "error",
            f"{folder} needs about {amount(need)}, and the disk has {amount(free)} free",
            "the run would stop when the disk is full, and lose the steps since its last state",
            f"{key} on another disk",
        )


def _existing(folder: Path) -> Path:
    """The nearest folder above that exists."""
    folder = folder.absolute()
    return folder if folder.is_dir() else _existing(folder.parent)

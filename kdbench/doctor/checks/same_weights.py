"""A student that is its teacher."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kdbench.checkpoint.config_file import read_config
from kdbench.checkpoint.weights import find_weights
from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient


@check("same_weights", "files")
def same_weights(patient: Patient) -> Iterator[Finding]:
    """A student with the very weights of its teacher or of the undistilled student."""
    student = patient.member("student")
    if student is None or student.config_file is not None:
        return
    if isinstance(patient, TrainPatient) and patient.settings.student.startswith(
        ("prune:", "search:")
    ):
        return
    for other in patient.members[1:]:
        if not _equal(student, other):
            continue
        if patient.of == "train":
            yield Finding(
                "error",
                f"student= and {other.key}= have the same weights",
                "a loss that compares the two is at its minimum, so nothing is learned",
                f"student= or {other.key}= of another checkpoint",
            )
        else:
            yield Finding(
                "warning",
                f"model= and {other.key}= have the same weights",
                "fidelity then shows the noise of sampling, and nothing of a student",
                f"model= or {other.key}= of another checkpoint",
            )


def _equal(one: Member, other: Member) -> bool:
    if one.checkpoint.sha256 == other.checkpoint.sha256:
        return True
    first, second = _files(one), _files(other)
    if not first or [f.stat().st_size for f in first] != [f.stat().st_size for f in second]:
        return False
    return [_hash(file) for file in first] == [_hash(file) for file in second]


def _files(member: Member) -> list[Path]:
    """The files of the weights; none of an adapter, whose base would be equal for many."""
    checkpoint = member.checkpoint
    if checkpoint.base is not None:
        return []
    if checkpoint.gguf:
        return [checkpoint.path / checkpoint.gguf]
    weights = find_weights(checkpoint.path, read_config(checkpoint.path))
    return [checkpoint.path / name for name in weights.names] if weights else []


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

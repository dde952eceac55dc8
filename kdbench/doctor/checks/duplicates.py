"""Rows that occur several times in the training set."""

from collections import defaultdict
from collections.abc import Iterator

from kdbench.builders.overlap.words import normalised
from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.rows import said

_MANY = 0.05


@check("duplicates", "files", of=("train",))
def duplicates(patient: Patient) -> Iterator[Finding]:
    """Training rows with the same prompt and response as an earlier one."""
    for name, rows in patient.training_sets.items():
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            groups[normalised(said(row)), normalised(row["output"][0])].append(row["id"])
        copies = sum(len(ids) - 1 for ids in groups.values())
        if copies >= _MANY * len(rows):
            yield Finding(
                "warning",
                f"{copies} of {len(rows)} rows of {name} repeat an earlier row",
                "an epoch counts them several times, and the student learns them by heart",
                "remove the copies from the file",
                tuple(" = ".join(ids) for ids in groups.values() if len(ids) > 1),
            )

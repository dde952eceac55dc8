"""Test sets that are almost those of the papers."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.rows import read_split
from kdbench.system.bundled import load_module
from kdbench.system.safe_yaml import read_yaml_file
from kdbench.task import known_tasks
from kdbench.task.model import TITLES

# Rows of the papers' sets, for which the YAML of the task has the hash of their content.
_ROWS = {"dolly": 500, "self_instruct": 242, "vicuna": 80, "super_natural": 1694}
_CLOSE = 0.1


@check("published_data", "files", of=("eval",))
def published_data(patient: Patient) -> Iterator[Finding]:
    """Test sets of the papers' size whose content is not the papers'."""
    assert isinstance(patient, EvalPatient)  # noqa: S101 - for the type checker
    files = known_tasks()
    for name in sorted(set(patient.settings.tasks) & set(TITLES) & set(_ROWS)):
        if patient.data is None:
            continue
        rows = read_split(patient.data, name, "test")
        # A set of another size is another set, which tables mark anyway.
        if not rows or abs(len(rows) - _ROWS[name]) > _CLOSE * _ROWS[name]:
            continue
        expected = read_yaml_file(files[name])["metadata"]["content_sha256"]
        if load_module("tasks/instruction.py").content_sha256(rows) != expected:
            yield Finding(
                "warning",
                f"{name}/test has {len(rows)} rows, and their content is not that of the papers' "
                f"{_ROWS[name]}",
                "scores on changed rows do not compare with published ones",
                "put the papers' file into data=, or leave out data= to load it from the Hub",
            )

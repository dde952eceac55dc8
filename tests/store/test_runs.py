"""Which runs compare a teacher with itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import put_run

from kdbench.store.runs import stored_runs, when_loaded


@pytest.mark.parametrize(
    ("quantization", "dtype", "is_own"),
    [
        (None, "auto", True),
        ("4bit", "auto", False),  # the quantised model beside its full one
        ("4bit", "auto 4bit", True),
        ("4bit", "bfloat16 8bit", False),
        (None, "auto 8bit", False),
        ("gptq, 4 bits", "auto", True),  # one hash, so the same packed weights
    ],
)
def test_quantised_weights_are_not_their_full_teacher(
    quantization: str | None, dtype: str, is_own: bool, tmp_path: Path
) -> None:
    model: dict[str, Any] = {"name": "m", "sha256": "s", "quantization": quantization}
    teacher = {"name": "m", "sha256": "s", "dtype": dtype}
    put_run(tmp_path, "m", {"dolly": [1]}, teacher=teacher)
    (stored,) = stored_runs(tmp_path)
    run = replace(stored, record={**stored.record, "model": model})
    assert run.is_own_teacher is is_own
    assert when_loaded(None) is None

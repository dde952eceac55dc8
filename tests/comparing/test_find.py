"""Finding the run that a setting names."""

from pathlib import Path

import numpy as np
import pytest
from gate_runs import Put

from kdbench.comparing.find import find_run
from kdbench.errors import InputError


@pytest.mark.parametrize("name", ["", "/", "/no/such", ".", "..", "*", "[", "a/b"])
def test_a_name_of_nothing_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder, a model in results="):
        find_run(name, "run", tmp_path / "results", tmp_path / "gates")


@pytest.mark.parametrize("name", ["m", "[m]", "m*"])
def test_a_model_is_found_by_its_whole_name(name: str, put: Put, tmp_path: Path) -> None:
    put(name, {"dolly": {"rougeL": np.ones((2, 2))}})
    put("mm", {"dolly": {"rougeL": np.ones((2, 2))}})
    found = find_run(name, "run", tmp_path / "results", tmp_path / "gates")
    assert found.label == name

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


def test_of_several_runs_the_one_with_the_tasks_is_found(put: Put, tmp_path: Path) -> None:
    scores = {"rougeL": np.ones((2, 2))}
    first = put("m", {"dolly": scores}).rename(tmp_path / "results" / "m" / "minillm-0")
    second = put("m", {"dolly": scores, "mine": scores})
    folders = (tmp_path / "results", tmp_path / "gates")
    assert set(find_run("m", "base", *folders, ["mine"]).tasks) == {"dolly", "mine"}
    for tasks in ([], ["dolly"], ["vicuna"]):
        with pytest.raises(InputError, match=f"has several runs; give one: {first}, {second}$"):
            find_run("m", "base", *folders, tasks)


def test_a_missing_baseline_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"baseline=a: .*; kdbench regress --update writes a bas"):
        find_run("a", "baseline", tmp_path / "results", tmp_path / "gates")

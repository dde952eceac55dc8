"""The time to generate is estimated from recorded times, and from nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.measuring.estimate import Load, estimated_time
from kdbench.system.environment import environment

LOAD = Load(samples=200, max_new_tokens=64, parameters=1000, backend="hf", dtype="float32")


def write_run(results: Path, name: str = "a", **changes: Any) -> None:
    """A run of 100 samples with 3000 tokens that took 50 s."""
    task = {"generated_samples": 100, "generated_tokens": 3000, "generated_seconds": 50.0}
    run = {
        "schema": 1,
        "model": {"name": name, "parameters": 1000, "dtype": "float32"},
        "method": None,
        "setting": None,
        "protocol": {"name": "minillm", "max_new_tokens": 64},
        "limit": None,
        "status": "complete",
        "tasks": {"dolly": task},
        "backend": {"name": "hf"},
        "environment": environment(),
    }
    file = results / name / "minillm-1" / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(run | changes))


def test_samples_of_the_same_length_limit_give_the_time(tmp_path: Path) -> None:
    write_run(tmp_path)
    # 200 samples at 50 s / 100 samples.
    assert estimated_time(LOAD, tmp_path) == (
        "about 2 min to generate, from 100 timed samples of models of this size on this machine"
    )


def test_another_length_limit_gives_a_bound(tmp_path: Path) -> None:
    write_run(tmp_path, protocol={"name": "minillm", "max_new_tokens": 32})
    # 200 · 64 tokens at 50 s / 3000 tokens = 213 s.
    assert estimated_time(LOAD, tmp_path).startswith("about 4 min to generate at most")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"name": "a", "parameters": 999, "dtype": "float32"}},
        {"model": {"name": "a", "parameters": 1000, "dtype": "bfloat16"}},
        {"backend": {"name": "vllm"}},
        {"environment": {**environment(), "gpus": ["another"]}},
        {"tasks": {"dolly": {}}},
        {"status": "no status"},
    ],
)
def test_other_models_machines_and_broken_runs_do_not_count(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_run(tmp_path, **changes)
    assert estimated_time(LOAD, tmp_path).startswith("unknown until the first batch")


def test_nothing_takes_no_time(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert estimated_time(LOAD._replace(samples=0), tmp_path) == "nothing to generate"
    assert estimated_time(LOAD._replace(samples=1), tmp_path).startswith("under 1 s")
    assert estimated_time(LOAD._replace(parameters=None), tmp_path).startswith("unknown")

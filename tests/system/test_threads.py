"""How native threads wait, and how many there are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kdbench.filling.executors.local import LocalExecutor
from kdbench.system import threads
from kdbench.system.threads import cores, wait_passively, wanted_threads
from kdbench.toy.models import World

VARIABLES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "KMP_LIBRARY", "OMP_NUM_THREADS")


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable is set, and there is no quota but what a test writes to the returned file."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "_OLD_QUOTA", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(threads, "_cores_of_affinity", lambda: 8)
    return tmp_path / "cpu.max"


def test_threads_sleep_while_they_wait(unset: Path) -> None:
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("name", VARIABLES[:4])
def test_what_the_user_sets_stays(name: str, unset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    wait_passively()
    assert {one: os.environ.get(one) for one in VARIABLES} == {
        **dict.fromkeys(VARIABLES),
        name: "1",
    }


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("x", 8), ("9999999 100000", 8)],
)
def test_a_quota_limits_the_cores(quota: str, expected: int, unset: Path) -> None:
    unset.write_text(quota)
    assert cores() == expected
    wait_passively()
    assert os.environ.get("OMP_NUM_THREADS") == (str(expected) if expected < 8 else None)


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("200000", 2)])
def test_a_quota_of_older_systems_counts_as_well(quota: str, expected: int, unset: Path) -> None:
    unset.with_name("quota").write_text(f"{quota}\n")
    unset.with_name("period").write_text("100000\n")
    assert cores() == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("3", 3), ("99", 8), ("2,1", 2), ("0", 8), ("many", 8), ("", 8)]
)
def test_a_user_can_ask_for_fewer_threads(
    text: str, expected: int, unset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert wanted_threads() == expected


def test_workers_inherit_how_threads_wait(unset: Path, tmp_path: Path) -> None:
    LocalExecutor(2, tmp_path).close()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_these_tests_run_in_one_thread_each() -> None:
    assert torch.get_num_threads() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the runtime of other systems prints otherwise")
def test_the_command_line_sets_it_before_openmp_reads_it(world: World, tmp_path: Path) -> None:
    """OpenMP prints its settings when it is loaded, as by the check of a logger."""
    clean = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    done = subprocess.run(
        [
            *[sys.executable, "-m", "kdbench", "train", "method=sft", "report_to=nowhere"],
            *[f"student={world.student}", f"data={world.data}"],
        ],
        env={**clean, "OMP_DISPLAY_ENV": "TRUE"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr

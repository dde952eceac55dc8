"""Jobs of Slurm: what is submitted, what becomes of it, and who follows it after a crash."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import fake_slurm
import pytest
from small_nodes import run_all, small

from kdbench.errors import InputError
from kdbench.filling.executors import slurm
from kdbench.filling.executors.slurm import SlurmExecutor, SlurmOptions
from kdbench.filling.resources import Resources
from kdbench.system.remote.hooks import MirrorKeys

HELPERS = Path(__file__).parents[2] / "helpers"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A fake Slurm; returns the folder of its state."""
    monkeypatch.setattr(slurm, "_SECONDS_BETWEEN_POLLS", 0.1)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HELPERS)]))

    def installed(**values) -> Path:
        commands = fake_slurm.install(tmp_path / "slurm", **values)
        monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "slurm" / "state"

    yield installed
    if (tmp_path / "slurm" / "state").exists():
        (tmp_path / "slurm" / "state" / "over").touch()


def executor(tmp_path: Path, needs=lambda node: Resources(), **options) -> SlurmExecutor:
    return SlurmExecutor(None, tmp_path / "models", needs, SlurmOptions(**options))


def jobs(state: Path) -> list[dict]:
    return fake_slurm.Jobs(state).all()


def test_each_fate_of_a_job(install, tmp_path):
    """All at once, because each job imports torch: done, refused, killed, preempted, cancelled."""
    fates = {"small-B": ["NODE_FAIL"], "small-C": ["PREEMPTED"], "small-D": ["CANCELLED by 7"]}
    install(fates=fates)
    nodes = [small(tmp_path, "A", fault="input")]
    nodes += [small(tmp_path, name, wait_for=tmp_path / "never") for name in "BCD"]
    results = run_all(executor(tmp_path), nodes)
    refused, lost, preempted, cancelled = (results[f"small {name}"] for name in "ABCD")
    assert (refused.error, refused.died) == ("learning_rate=: too large", False)
    assert re.match(r"job 101 ended as NODE_FAIL \(log: .*_0_log\.out\)$", lost.error)
    assert (lost.died, lost.preempted) == (True, False)
    assert (preempted.died, preempted.preempted) == (False, True)
    assert cancelled.error == "job 103 ended as CANCELLED by 7"
    assert not cancelled.died


def test_a_job_at_its_time_limit_is_queued_again_and_resumes(install, tmp_path):
    state = install(fates={"small-A": ["REQUEUE"]})
    go = tmp_path / "go"
    node = small(tmp_path, wait_for=go)
    running = executor(tmp_path)
    running.begin([node])
    running.submit(node)
    while [job["starts"] for job in jobs(state)] != [2]:
        assert running.finished(0.1) == []
        if node.place.with_suffix(".begun").exists():
            (state / "signal").touch()
    go.touch()
    results = []
    while not results:
        results = running.finished(1.0)
    assert [result.error for result in results] == [None]
    assert [job["id"] for job in jobs(state)] == ["100"]
    assert node.place.exists()


def test_a_driver_that_is_started_again_submits_no_job_twice(install, tmp_path, capsys):
    state = install()
    (state / "held").touch()
    node = small(tmp_path)
    first = executor(tmp_path)
    first.begin([node])
    first.submit(node)
    first.close()  # as after an interrupt; a killed one says nothing
    assert "'scancel 100' ends them" in capsys.readouterr().err
    second = executor(tmp_path)
    second.begin([node])
    second.submit(node)
    (state / "down").touch()  # the controller restarts, which says nothing about the job
    for _ in range(5):
        assert second.finished(0.2) == []
    (state / "down").unlink()
    (state / "held").unlink()
    results = []
    while not results:
        results = second.finished(1.0)
    assert results[0].error is None
    assert len(jobs(state)) == 1
    assert "small A: follows job 100" in capsys.readouterr().err
    other = executor(tmp_path / "other")
    assert other._name_of(node) != first._name_of(node)


def test_what_a_job_asks_for(install, tmp_path):
    state = install(gres="gpu:a100:4")
    (state / "held").touch()
    needs = Resources(gpus=4, cpus=6, memory=24 * 1024**3, is_stated=True)
    given = {"partition": "big", "account": "lab", "time": "1-02:30:00", "gpu_type": "a100"}
    submitted = executor(
        tmp_path, lambda _: needs, **given, setup="module load cuda", more={"nice": 5}
    )
    submitted.begin([])
    submitted.submit(small(tmp_path))
    (job,) = jobs(state)
    asked = {key: job[key] for key in ("partition", "account", "time", "gpus-per-node", "nice")}
    assert asked == {
        "partition": "big",
        "account": "lab",
        "time": "1590",
        "gpus-per-node": "a100:4",
        "nice": "5",
    }
    assert (job["cpus-per-task"], job["mem"]) == ("6", "24576M")
    assert "module load cuda\n" in Path(job["script"]).read_text()


@pytest.mark.parametrize(("gres", "gpus"), [("(null)", None), ("gpu:1", "1")])
def test_a_gpu_is_asked_for_where_there_are_any(install, tmp_path, gres, gpus):
    state = install(gres=gres)
    (state / "held").touch()
    submitted = executor(tmp_path, lambda _: Resources(gpus=1))
    submitted.begin([])
    submitted.submit(small(tmp_path))
    (job,) = jobs(state)
    assert job.get("gpus-per-node") == gpus


def test_the_plan_has_the_memory_that_a_job_asks_for(tmp_path):
    estimated = executor(tmp_path, lambda node: Resources(likely_memory=3 * 1024**3))
    assert estimated.needed(small(tmp_path)) == "3.0 GiB"
    stated = Resources(memory=1024**3, likely_memory=3 * 1024**3)
    assert executor(tmp_path, lambda node: stated).needed(small(tmp_path)) == "1.0 GiB"


def test_what_slurm_refuses_is_one_line(install, tmp_path, monkeypatch):
    state = install()
    refused = executor(tmp_path, partition="nowhere")
    refused.begin([])
    with pytest.raises(InputError, match=r"^executor=slurm: small A: .*nowhere"):
        refused.submit(small(tmp_path))
    (state / "down").touch()
    with pytest.raises(InputError, match=r"^executor=slurm: 'squeue .*controller running\?$"):
        executor(tmp_path).submit(small(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^executor=slurm: no sbatch and srun here"):
        executor(tmp_path).begin([])
    assert jobs(state) == []


def test_a_script_of_fates_is_used_up(install):
    state = install(fates={"x": ["PREEMPTED"]})
    board = fake_slurm.Jobs(state)
    assert [fake_slurm._fate(board, {"job-name": "ax"}) for _ in "ab"] == ["PREEMPTED", "ok"]
    assert json.loads((state / "fates.json").read_text()) == {"x": []}


@pytest.mark.parametrize("options", [{}, {"secret": "hunter2"}])
def test_options_of_a_store_are_for_this_user_alone(install, tmp_path, options):
    state = install()
    (state / "held").touch()
    keys = MirrorKeys("models", "s3://bucket", options, tmp_path / "mirror", True)
    submitted = executor(tmp_path)
    submitted.begin([])
    submitted.submit(replace(small(tmp_path), mirrors=(keys,)))
    folder = tmp_path / "models" / "slurm"
    assert list(folder.glob("*.pkl"))
    others = folder.stat().st_mode & 0o077
    assert bool(others) == (not options)

"""Nodes on Ray: a real cluster once, and a scripted broker for what a cluster does seldom."""

import os
import signal
import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest
from small_nodes import run_all, small

from kdbench.errors import InputError
from kdbench.filling.executors import ray as executor_module
from kdbench.filling.executors.ray import RayExecutor, RayOptions
from kdbench.filling.executors.ray.broker import Job, Machine, Start, run_job
from kdbench.filling.resources import Resources
from kdbench.filling.work import NodeResult
from kdbench.system.processes import this_process

HELPERS = Path(__file__).parents[2] / "helpers"
ROOT = Path(__file__).parents[3]
GIB = 1024**3
MACHINE = Machine("gpu7", 8.0, 2.0, 60.0 * GIB, True)


class Script:
    """What each broker does in turn: a text, or machines and then a number of results.

    A broker that has given its results dies; the last one in the list lives.
    """

    def __init__(self, *starts: object):
        self.starts, self.jobs, self.number = list(starts), [], 0

    def Pipe(self):  # noqa: N802 - as in multiprocessing
        return Pipe()

    def Process(self, target, args):  # noqa: N802, ARG002
        return _Broker(self, *args)

    def serve(self, connection, start: Start, _) -> None:
        self.start, self.number = start, self.number + 1
        script = self.starts[min(self.number, len(self.starts)) - 1]
        if isinstance(script, str):
            connection.send(script)
            return
        machines, results = script
        connection.send(machines)
        while results or self.number == len(self.starts):
            if (job := connection.recv()) is None:
                return
            self.jobs.append(job)
            connection.send(NodeResult(job.key))
            results -= 1


class _Broker:
    """A thread in the place of the process."""

    exitcode = 1

    def __init__(self, script, connection, start, driver):
        # A copy, because the executor closes its own end of the pipe's other side.
        from multiprocessing.connection import Connection

        self._connection = Connection(os.dup(connection.fileno()))
        self._thread = threading.Thread(target=self._run, args=(script, start, driver), daemon=True)

    def _run(self, script, start, driver) -> None:
        try:
            script.serve(self._connection, start, driver)
        except (EOFError, OSError):
            pass
        finally:
            self._connection.close()

    def start(self):
        self._thread.start()

    def join(self, timeout=None):
        self._thread.join(timeout)

    def kill(self):
        """A thread cannot be killed; it ends with its connection."""

    def close(self):
        pass


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(executor_module, "_SECONDS_BETWEEN_STARTS", 0.0)
    monkeypatch.setattr(executor_module, "visible_gpus", list)

    def make(*starts, needs=lambda node: Resources(), workers=2, **options):
        script = Script(*starts)
        monkeypatch.setattr(executor_module, "get_context", lambda _: script)
        executor = RayExecutor(workers, tmp_path / "models", needs, RayOptions(**options))
        return executor, script

    return make


def test_what_was_running_runs_again_when_the_head_dies(scripted, tmp_path, capsys):
    executor, script = scripted(([MACHINE], 1), ([MACHINE], 9))
    nodes = [small(tmp_path, label) for label in "AB"]
    results = run_all(executor, nodes)
    assert {result.error for result in results.values()} == {None}
    keys = [job.key for job in script.jobs]
    assert sorted(set(keys)) == ["small A", "small B"]
    assert len(keys) == 2  # neither is done a second time
    assert "Ray's head has died; starting it again (1 of 5)" in capsys.readouterr().err
    assert list((tmp_path / "models" / "logs").glob(".seen-by-*")) == []


def test_a_head_that_dies_again_and_again_is_one_line(scripted, tmp_path):
    executor, script = scripted(*[([MACHINE], 0)] * 9)
    with pytest.raises(InputError, match=r"^executor=ray: Ray died 5 times in a row \(log: "):
        run_all(executor, [small(tmp_path)])
    assert script.number == 6


def test_what_ray_says_when_it_does_not_start(scripted, tmp_path):
    executor, _ = scripted("no route to host", address="head:6379")
    with pytest.raises(
        InputError, match=r"^executor=ray: Ray cannot connect to head:6379: no route to host"
    ):
        run_all(executor, [small(tmp_path)])


def test_a_machine_without_the_shared_disk_is_named(scripted, tmp_path):
    blind = Machine("gpu8", 8.0, 0.0, GIB, False)
    executor, script = scripted(([MACHINE, blind], 0), address="head:6379")
    with pytest.raises(InputError, match=r"^executor=ray: gpu8 does not see .*must be on a disk"):
        run_all(executor, [small(tmp_path)])
    assert not script.start.token.exists()


def test_what_a_killed_driver_left_is_removed(scripted, tmp_path):
    logs = tmp_path / "models" / "logs"
    logs.mkdir(parents=True)
    here = this_process()
    gone = logs / f".seen-by-{here.host}-{2**22 + 1}"  # no process has such a number
    others = [logs / f".seen-by-{here.host}-{os.getppid()}", logs / ".seen-by-elsewhere-7"]
    for file in (gone, *others):
        file.touch()
    executor, _ = scripted(([MACHINE], 1))
    run_all(executor, [small(tmp_path)])
    assert sorted(logs.glob(".seen-by-*")) == sorted(others)


def test_a_worker_looks_for_the_disk_itself(tmp_path, monkeypatch):
    start = Start("head", 1, 0, tmp_path / "log", tmp_path, tmp_path / "token")
    job = Job("small A", b"", tmp_path, [], 1, 1, 0)
    assert "does not see" in str(run_job(job, start, this_process()).error)


@pytest.mark.parametrize(
    ("needs", "fault"),
    [
        (Resources(gpus=4), "which needs 4 GPUs, 1 CPU; the largest has 2 GPUs, 8 CPUs, 60.0 GiB"),
        (Resources(cpus=9), "which needs 9 CPUs; "),
        (Resources(memory=61 * GIB), "which needs 1 CPU, 61.0 GiB; "),
        (Resources(gpus=2, cpus=8, memory=60 * GIB), None),
        (Resources(likely_memory=200 * GIB), None),  # an estimate refuses nothing
    ],
)
def test_a_node_that_no_machine_can_run_is_refused_at_the_start(scripted, tmp_path, needs, fault):
    for autoscales in (False, True):
        executor, script = scripted(
            ([MACHINE], 1), needs=lambda _: needs, address="head:1", autoscales=autoscales
        )
        if fault is None or autoscales:
            assert run_all(executor, [small(tmp_path)])["small A"].error is None
            continue
        with pytest.raises(InputError, match=fault):
            run_all(executor, [small(tmp_path)])
        assert script.jobs == []


def test_what_is_asked_for(scripted, tmp_path):
    needs = {
        "small A": Resources(gpus=1, likely_memory=99 * GIB),
        "small B": Resources(gpus=0, cpus=3, is_stated=True),
        "small C": Resources(gpus=0.25, is_stated=True, memory=GIB),
    }
    executor, script = scripted(
        ([MACHINE], 3), needs=lambda node: needs[node.key], address="head:1"
    )
    run_all(executor, [small(tmp_path, key[-1]) for key in needs])
    one, two, three = sorted(script.jobs, key=lambda job: job.key)
    assert (one.gpus, one.cpus, one.memory, one.hides_gpus) == (1, 1, 60 * GIB, False)
    assert (two.gpus, two.cpus, two.threads, two.hides_gpus) == (0, 3, 3, True)
    assert (three.gpus, three.memory, three.hides_gpus) == (0.25, GIB, False)
    assert executor.describe() == "the Ray cluster at head:1: up to 2 workers"


def test_a_cluster_of_this_machine_has_as_many_cpus_as_workers_need(scripted, tmp_path):
    executor, script = scripted(([MACHINE], 1), needs=lambda _: Resources(cpus=4), workers=3)
    run_all(executor, [small(tmp_path)])
    assert (script.start.address, script.start.cpus) == (None, 12)


def test_a_killed_worker_and_a_killed_daemon_of_a_real_cluster(tmp_path, monkeypatch, capfd):
    """One start of Ray, and one more after the daemon of the first is killed."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HELPERS)]))
    go = tmp_path / "go"
    nodes = {
        "small A": small(tmp_path, "A", fault="killed"),
        "small B": small(tmp_path, "B", wait_for=go),
        "small C": small(tmp_path, "C", fault="input"),
    }
    executor = RayExecutor(2, tmp_path / "models")
    errors = {}
    try:
        executor.begin(list(nodes.values()))
        for node in nodes.values():
            executor.submit(node)
        for result in _until(executor, 2):
            errors[result.key] = result.error
            assert result.died == (result.key == "small A")
        assert "its worker died" in errors["small A"]
        assert errors["small C"] == "learning_rate=: too large"
        executor.submit(nodes["small A"])
        (again,) = _until(executor, 1)
        assert again.error is None
        (daemon,) = _daemons(executor._broker.pid)
        environment = Path(f"/proc/{daemon}/environ").read_bytes().split(b"\0")
        assert b"RAY_AUTH_MODE=token" in environment  # it listens to the network
        tokens = [one for one in environment if one.startswith(b"RAY_AUTH_TOKEN=")]
        os.kill(daemon, signal.SIGKILL)
        go.touch()
        (last,) = _until(executor, 1)
        assert (last.key, last.error) == ("small B", None)
    finally:
        executor.close()
    assert len(tokens[0]) > len(b"RAY_AUTH_TOKEN=") + 32
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert nodes["small B"].place.exists()
    said = capfd.readouterr()
    assert said.out == ""
    assert [line for line in said.err.splitlines() if "head has died" not in line] == []


def _until(executor: RayExecutor, count: int) -> list[NodeResult]:
    results: list[NodeResult] = []
    while len(results) < count:
        results += executor.finished(1.0)
    return results


def _daemons(broker: int) -> list[int]:
    """The raylets that a broker has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:
            continue
        if parent == broker and command.endswith(b"/raylet"):
            found.append(int(entry.name))
    return found

"""One process at a time does a node, on disks with and without locks of their own."""

import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from kdbench.filling import lease
from kdbench.filling.lease import _Lease, held, is_held, this_machine


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_BEATS", 0.02)
    monkeypatch.setattr(lease, "SECONDS_TO_EXPIRE", 0.3)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "node.log"


@pytest.fixture
def without_locks(monkeypatch) -> None:
    """A disk that has no locks."""

    def refuse(self, *_, **__):
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)


def left_behind(log: Path, machine: str, count: int = 7) -> None:
    log.with_suffix(".lease").write_text(
        json.dumps({"holder": "gone", "machine": machine, "count": count})
    )


def test_the_lease_lives_as_long_as_the_work(log: Path) -> None:
    file = log.with_suffix(".lease")
    with held(log, "here"):
        first = json.loads(file.read_text())
        assert first["machine"] == "here"
        while json.loads(file.read_text())["count"] <= first["count"]:
            pass
    assert [path.name for path in log.parent.iterdir()] == ["node.lock"]


def test_others_see_who_does_a_node(log: Path, monkeypatch) -> None:
    monkeypatch.setattr(lease, "SECONDS_TO_EXPIRE", 1e9)
    assert not is_held(log)
    with held(log):
        assert is_held(log)
    assert not is_held(log)
    left_behind(log, this_machine())  # by a process that was killed: the lock is free
    assert not is_held(log)
    left_behind(log, "elsewhere")
    assert is_held(log)
    os.utime(log.with_suffix(".lease"), (0, 0))  # long ago
    assert not is_held(log)


def test_looking_disturbs_no_other_look(log: Path) -> None:
    with held(log):
        pass
    with FileLock(log.with_suffix(".lock")):  # as another one that looks
        assert not is_held(log)


def test_without_locks_the_lease_says_who_does_a_node(
    log: Path, without_locks, monkeypatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS_TO_EXPIRE", 1e9)
    assert not is_held(log)
    with held(log):
        assert is_held(log)
    log.with_suffix(".lock").touch()
    assert not is_held(log)
    left_behind(log, this_machine())
    assert is_held(log)
    os.utime(log.with_suffix(".lease"), (0, 0))
    assert not is_held(log)


def test_an_earlier_process_of_this_machine_has_ended(log: Path, capsys) -> None:
    left_behind(log, "here")
    with held(log, "here"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_another_machine_is_waited_for_until_its_lease_stands_still(
    log: Path, capsys, content
) -> None:
    left_behind(log, "there")
    if content is not None:
        log.with_suffix(".lease").write_text(content)
    with held(log, "here"):
        assert json.loads(log.with_suffix(".lease").read_text())["machine"] == "here"
    assert f"which holds {log.with_suffix('.lease')}" in capsys.readouterr().err


def test_a_lease_that_moves_is_never_taken(log: Path, monkeypatch) -> None:
    """By a clock on which half the time to expire passes between two looks."""
    left_behind(log, "there")
    moments, counts = itertools.count(step=lease.SECONDS_TO_EXPIRE / 2), itertools.count(8)
    looks, writes = [], []
    write = _Lease._write
    monkeypatch.setattr(_Lease, "_write", lambda self: writes.append(len(looks)) or write(self))

    def moves(_: float) -> None:
        looks.append(next(counts))
        if len(looks) < 10:
            left_behind(log, "there", looks[-1])

    clock = SimpleNamespace(monotonic=lambda: next(moments), sleep=moves)
    monkeypatch.setattr(lease, "time", clock)
    _Lease(log.with_suffix(".lease"), "here", is_locked=True).take()
    assert len(writes) == 1
    assert writes[0] >= 10
    assert json.loads(log.with_suffix(".lease").read_text())["machine"] == "here"


def test_two_machines_do_not_overlap_without_locks(log: Path, without_locks, monkeypatch) -> None:
    monkeypatch.setattr(lease, "SECONDS_TO_EXPIRE", 600.0)  # however busy this machine is
    inside, most, lock = 0, 0, threading.Lock()

    def work(machine: str) -> None:
        nonlocal inside, most
        for _ in range(5):
            with held(log, machine):
                with lock:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.02)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_holder_that_has_lost_its_lease_ends(log: Path) -> None:
    """As after its machine was frozen: what it would write now, another one writes too."""
    code = (
        "import time\nfrom pathlib import Path\nfrom kdbench.filling import lease\n"
        "lease.SECONDS_BETWEEN_BEATS = 0.05\n"
        f"with lease.held(Path({str(log)!r}), 'here'):\n"
        "    print('holds', flush=True)\n    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    new = log.with_suffix(".new")
    while process.poll() is None:  # a beat may replace it at the same moment
        new.write_text(json.dumps({"holder": "other", "machine": "there", "count": 1}))
        os.replace(new, log.with_suffix(".lease"))
        threading.Event().wait(0.2)
    assert process.wait() == 1
    assert "another process has taken the node over" in process.communicate()[1]
    assert json.loads(log.with_suffix(".lease").read_text())["machine"] == "there"

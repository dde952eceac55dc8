"""Leases: one machine at a time writes a run."""

import json
import time
from pathlib import Path

import fsspec
import pytest
from flaky_store import FlakyStore

from kdbench.errors import InputError
from kdbench.system.remote import lease
from kdbench.system.remote.lease import Leases
from kdbench.system.remote.mirror import Mirror


@pytest.fixture
def store() -> type[FlakyStore]:
    fsspec.register_implementation("flaky", FlakyStore, clobber=True)
    return FlakyStore.fresh()


def leases(folder: Path, name: str, seconds: float = 3600) -> Leases:
    mirror = Mirror.of("results", "flaky://bucket", {}, folder / name, writes=True)
    mirror.open()
    return Leases(mirror, seconds)


def test_a_second_machine_is_refused_until_the_first_has_ended(
    store: type[FlakyStore], tmp_path: Path
) -> None:
    one, other = leases(tmp_path, "a"), leases(tmp_path, "b")
    assert one.acquire("m/run")
    assert not one.acquire("m/run")
    assert other.acquire("m/another")
    with pytest.raises(
        InputError, match="flaky://bucket/m/run: another kdbench process is writing"
    ):
        other.acquire("m/run")
    one.release()
    assert other.acquire("m/run")
    other.release()
    assert not [path for path in store.store if "leases" in path]


def test_a_killed_machine_resumes_at_once(store: type[FlakyStore], tmp_path: Path) -> None:
    assert leases(tmp_path, "a").acquire("m/run")  # and never releases it
    again = leases(tmp_path, "a")
    assert again.acquire("m/run")
    again.release()


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"owner": "x", "until": 5}'])
def test_a_lease_that_is_over_or_damaged_is_taken(
    store: type[FlakyStore], tmp_path: Path, content: bytes
) -> None:
    one = leases(tmp_path, "a")
    one._mirror.storage.write(".kdbench-remote/leases/m/run.json", content)
    assert one.acquire("m/run")
    one.release()


def test_a_lost_lease_stops_its_holder(store: type[FlakyStore], tmp_path: Path) -> None:
    one = leases(tmp_path, "a")
    one.acquire("m/run")
    one.renew()
    one.check()
    content = {"owner": "another", "host": "h", "until": time.time() + 3600}
    one._mirror.storage.write(".kdbench-remote/leases/m/run.json", json.dumps(content).encode())
    one.renew()
    with pytest.raises(InputError, match="flaky://bucket/m/run: another machine has taken over"):
        one.check()
    one.release()  # and leaves the lease of the other one
    assert [path for path in store.store if "leases" in path]


def test_who_waits_gets_it(
    store: type[FlakyStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_SECONDS_BETWEEN_TRIES", 0.05)
    other = leases(tmp_path, "b")
    content = {"owner": "another", "host": "h", "until": time.time() + 0.5}
    other._mirror.storage.write(".kdbench-remote/leases/m/run.json", json.dumps(content).encode())
    assert other.acquire("m/run", wait=True)
    other.release()

"""How much others use the machine, from counters made by hand."""

import pytest

from kdbench.system import company
from kdbench.system.company import Company, load_average

TICKS = 100


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Counters of two processors, and clocks, that a test sets."""
    now = {"elapsed": 0.0, "own": 0.0}
    stat = tmp_path / "stat"
    monkeypatch.setattr(company, "_STAT", stat)
    monkeypatch.setattr(company.os, "sysconf", lambda _: TICKS)
    monkeypatch.setattr(company.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(company.time, "monotonic", lambda: now["elapsed"])
    monkeypatch.setattr(company.time, "process_time", lambda: now["own"])

    def put(elapsed, own, *fields):
        now.update(elapsed=elapsed, own=own)
        stat.write_text(f"cpu  {' '.join(str(round(TICKS * f)) for f in fields)}\ncpu0 1 2\n")

    return put


def test_the_share_of_others_is_what_this_process_did_not_work(machine):
    machine(10, 1, 100, 10, 20, 500, 30, 1, 1, 8, 0, 0)
    watch = Company()
    # 10 s on two processors. Busy are 6 + 1 + 1 + 0.5 + 0.5 + 1 = 10 s of 20, 4 of them our own;
    # idle (500), waiting (30) and guests, who are users too, do not count.
    machine(20, 5, 106, 11, 21, 509, 31, 1.5, 1.5, 9, 5, 5)
    assert watch.share() == pytest.approx((10 - 4) / 20)


def test_a_share_stays_within_its_scale(machine):
    machine(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    watch = Company()
    machine(1, 2, 1, 0, 0, 0, 0, 0, 0, 0)  # the counters are coarser than the process's clock
    assert watch.share() == 0.0
    machine(1, 0, 9, 0, 0, 0, 0, 0, 0, 0)
    assert watch.share() == 1.0
    machine(0, 0, 9, 0, 0, 0, 0, 0, 0, 0)
    assert watch.share() is None


def test_without_counters_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setattr(company, "_STAT", tmp_path / "none")
    assert Company().share() is None


def test_a_load_average_may_not_be_known(monkeypatch):
    monkeypatch.setattr(company.os, "getloadavg", lambda: (1.5, 2.0, 3.0))
    assert load_average() == 1.5
    monkeypatch.delattr(company.os, "getloadavg")
    assert load_average() is None

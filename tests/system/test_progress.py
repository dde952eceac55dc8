"""Progress: plain lines in a log, a bar on a terminal, nothing on stdout."""

import io
import sys
from threading import Event, active_count

import pytest

from kdbench.system import progress as module
from kdbench.system.progress import Step, progress, slow_step, whole_run


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_gets_a_line_after_some_time_and_some_work(clock, capsys):
    with progress("dolly", 100, 0, "samples", "student generating") as advance:
        for _ in range(45):
            clock.now += 1
            advance()
    assert capsys.readouterr().err.splitlines() == [
        "dolly · student generating · 15/100 samples · 1/s · 85 s left",
        "dolly · student generating · 30/100 samples · 1/s · 70 s left",
        "dolly · student generating · 45/100 samples · 1/s · 55 s left",
    ]


def test_a_long_step_gets_fewer_lines_but_never_falls_silent(clock, capsys):
    with progress("dolly", 1000, 0, "samples") as advance:
        for _ in range(120):
            clock.now += 10
            advance()
    counts = [line.split()[2] for line in capsys.readouterr().err.splitlines()]
    assert counts == ["30/1000", "60/1000", "90/1000", "120/1000"]  # every 5 minutes


def test_earlier_work_counts_for_the_progress_but_not_the_rate(clock, capsys):
    with progress("dolly", total=100, done=60, unit="samples") as advance:
        for _ in range(5):
            clock.now += 20
            advance()
    assert capsys.readouterr().err == "dolly · 65/100 samples · 0.05/s · 12 min left\n"


def test_the_time_of_the_whole_run_follows_from_steps_of_the_same_kind(clock, capsys):
    def work(task, doing, seconds, units):
        with progress(task, units, 0, "samples", doing) as advance:
            for _ in range(units):
                clock.now += seconds
                advance()
        lines = capsys.readouterr().err.splitlines()
        return lines[0].split(" · ")[-1], lines[-1].split(" · ")[-1]

    steps = {
        Step("dolly", "generating"): 10,
        Step("dolly", "comparing"): 10,
        Step("vicuna", "generating"): 20,
        Step("vicuna", "comparing"): 20,
    }
    with whole_run(steps):
        # 29 of 30 responses are left, 30 s each; how long a comparison takes is not known yet.
        assert work("dolly", "generating", 30, 10)[0] == "whole run at least 14 min left"
        # 9 texts of this step (60 s), 20 responses (30 s) and 20 texts (60 s).
        assert work("dolly", "comparing", 60, 10)[0] == "whole run 39 min left"
        assert work("vicuna", "generating", 15, 20)[1] == "whole run 20 min left"
        assert work("vicuna", "comparing", 60, 20)[1] == "0 s left"
    assert work("dolly", "generating", 30, 2)[0] == "30 s left"


def test_a_short_step_prints_nothing(clock, capsys):
    with progress("dolly", total=3, done=0, unit="samples") as advance:
        for _ in range(3):
            clock.now += 1
            advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_one_line_that_is_gone_at_the_end(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("dolly", total=7, done=2, unit="samples") as advance:
        for _ in range(5):
            advance()
    drawn = terminal.getvalue()
    assert "dolly" in drawn
    assert "7/7 samples" in drawn
    assert "left" in drawn
    assert capsys.readouterr().out == ""


def test_a_step_without_units_shows_that_it_is_in_progress(monkeypatch):
    shown, lines = Event(), []

    def show(line):
        lines.append(line)
        shown.set()

    monkeypatch.setattr(module, "report_progress", show)
    with slow_step("loading m"):
        pass
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 0.001)
    with slow_step("loading m"):
        assert shown.wait(60)
    assert set(lines) == {"loading m: 0 s so far"}
    before = active_count()
    with pytest.raises(KeyError), slow_step("loading m"):
        raise KeyError
    assert active_count() == before

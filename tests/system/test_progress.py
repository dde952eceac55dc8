"""Progress: plain lines in a log, a bar on a terminal, nothing on stdout."""

import io
import sys
from threading import Event, active_count

import pytest

from kdbench.system import progress as module
from kdbench.system.progress import progress, slow_step


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


def test_a_log_gets_a_line_every_fifteen_seconds(clock, capsys):
    with progress("dolly", total=100, done=0, unit="samples") as advance:
        for _ in range(45):
            clock.now += 1
            advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "dolly: 15/100 samples, 1.00/s, 85 s left",
        "dolly: 30/100 samples, 1.00/s, 70 s left",
        "dolly: 45/100 samples, 1.00/s, 55 s left",
    ]


def test_earlier_work_counts_for_the_progress_but_not_the_rate(clock, capsys):
    with progress("dolly", total=100, done=60, unit="samples") as advance:
        clock.now += 20
        advance()
    assert capsys.readouterr().err == "dolly: 61/100 samples, 0.05/s, 780 s left\n"


def test_a_short_step_prints_nothing(clock, capsys):
    with progress("dolly", total=3, done=0, unit="samples") as advance:
        for _ in range(3):
            clock.now += 1
            advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
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
    assert "7/7" in drawn
    assert "samples/s" in drawn
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

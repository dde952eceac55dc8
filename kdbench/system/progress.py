"""Progress of long steps: one live line on a terminal, elsewhere a line every so often.

The line names the step and what is done in it, and tells the time left, of the step and of the
whole run if its steps are known: `dolly · student generating · 240/500 samples · 3 min left · whole
run 12 min left`.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import NamedTuple

from kdbench.system.console import report_progress, takes_styles
from kdbench.text import duration

_SECONDS_BETWEEN_LINES = 15
_MOST_SECONDS_BETWEEN_LINES = 300
_SHARE_BETWEEN_LINES = 0.05
_WIDTH_WITH_BAR = 100
_BAR = 12


class Step(NamedTuple):
    """A step of a run.

    Attributes:
        title: What it is about, such as a task's name.
        doing: What is done, such as `student generating`; steps that do the same take equally long
            for each unit.
    """

    title: str
    doing: str = ""


@dataclass
class _Pace:
    """How fast a kind of work goes."""

    seconds: float = 0.0
    units: int = 0


@dataclass
class _WholeRun:
    """The steps of a run that are not finished.

    Attributes:
        left: Number of units left by step.
        paces: How fast each kind of work went.
    """

    left: dict[Step, int]
    paces: dict[str, _Pace] = field(default_factory=dict)

    def seconds_left(self, step: Step, pace: _Pace) -> tuple[float, bool] | None:
        """The time left for a step and after it; None if nothing follows it.

        Args:
            step: The step that is in progress.
            pace: How fast it goes.

        Returns:
            Seconds, and whether they cover all steps.
        """
        paces = {**self.paces, step.doing: pace}
        left = {s: units for s, units in self.left.items() if units > 0}
        if not left.keys() - {step}:
            return None
        known = {s: paces[s.doing] for s in left if s.doing in paces}
        seconds = sum(p.seconds / p.units * left[s] for s, p in known.items())
        return seconds, len(known) == len(left)


_whole: ContextVar[_WholeRun | None] = ContextVar("whole_run", default=None)


@contextmanager
def whole_run(steps: Mapping[Step, int]) -> Iterator[None]:
    """Let the progress of steps tell the time left of the run that they belong to.

    Args:
        steps: The steps of the run, and the number of units that each has to do. A step that turns
            out to have another number of units counts with that one.
    """
    token = _whole.set(_WholeRun(dict(steps)))
    try:
        yield
    finally:
        _whole.reset(token)


@contextmanager
def progress(
    title: str, total: int, done: int, unit: str, doing: str = ""
) -> Iterator[Callable[[], None]]:
    """Show progress on stderr; the caller calls the yielded function after each unit.

    Args:
        title: What is in progress, such as a task's name.
        total: Number of units in all.
        done: Number of units that were finished before.
        unit: Name of the units in the plural, such as "samples".
        doing: What is done, such as "student generating".
    """
    counter = _Counter(Step(title, doing), total, done, unit)
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    show = _live if can_redraw else _printed
    with show(counter) as advance:
        try:
            yield advance
        finally:
            counter.finish()


@contextmanager
def slow_step(title: str) -> Iterator[None]:
    """Show on stderr, every few seconds, that a step that has no units is still in progress.

    Args:
        title: What is in progress.
    """
    start, is_over = time.monotonic(), Event()

    def show() -> None:
        while not is_over.wait(_SECONDS_BETWEEN_LINES):
            report_progress(f"{title}: {time.monotonic() - start:.0f} s so far")

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class _Counter:
    """The units of a step, and the line that tells of them."""

    def __init__(self, step: Step, total: int, done: int, unit: str):
        self.step, self.total, self.done, self._unit = step, total, done, unit
        self._start, self._made = time.monotonic(), 0
        self._whole = _whole.get()
        if self._whole is not None:
            self._whole.left[step] = total - done

    def advance(self) -> None:
        """Count a unit."""
        self.done += 1
        self._made += 1
        if self._whole is not None:
            self._whole.left[self.step] = self.total - self.done

    def finish(self) -> None:
        """Remember how long the step took, for the steps that follow."""
        if self._whole is None:
            return
        self._whole.left.pop(self.step, None)
        if self._made:
            pace = self._whole.paces.setdefault(self.step.doing, _Pace())
            pace.seconds += time.monotonic() - self._start
            pace.units += self._made

    def line(self) -> str:
        """The line: `dolly · student generating · 240/500 samples · 3/s · 3 min left`."""
        count = f"{self.done}/{self.total} {self._unit}"
        if not self._made:
            return " · ".join([*filter(None, self.step), count])
        rate = self._made / max(time.monotonic() - self._start, 1e-9)
        return " · ".join([*filter(None, self.step), count, f"{rate:.3g}/s", *self._times_left()])

    def line_within(self, width: int) -> str:
        """The line for a terminal, without what has no room: the unit, then what is done."""
        from rich.cells import cell_len

        title, doing = self.step
        count, times = f"{self.done}/{self.total}", self._times_left()
        choices = (
            [title, doing, f"{count} {self._unit}", *times],
            [title, doing, count, *times],
            [title, doing.partition(",")[0], count, *times],
            [title, count, *times],
        )
        lines = [" · ".join(filter(None, parts)) for parts in choices]
        return next((line for line in lines if cell_len(line) <= width), lines[-1])

    def _times_left(self) -> list[str]:
        """The time left of the step and of the whole run, as far as they are known."""
        if not self._made:
            return []
        seconds = max(time.monotonic() - self._start, 1e-9)
        left = (self.total - self.done) * seconds / self._made
        parts = [f"{duration(left)} left"]
        pace = _Pace(seconds, self._made)
        whole = self._whole and self._whole.seconds_left(self.step, pace)
        if whole:
            least = "" if whole[1] else "at least "
            parts.append(f"whole run {least}{duration(whole[0])} left")
        return parts


@contextmanager
def _live(counter: _Counter) -> Iterator[Callable[[], None]]:
    """One line that is drawn again and again, and is gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column

    styled = takes_styles(sys.stderr)
    console = Console(stderr=True, force_terminal=True, color_system="standard" if styled else None)
    one_line = Column(no_wrap=True, overflow="ellipsis")
    text = TextColumn("{task.description}", markup=False, table_column=one_line)
    columns: list[ProgressColumn] = [text]
    room = console.width
    if room >= _WIDTH_WITH_BAR:
        columns.insert(0, BarColumn(_BAR))
        room -= _BAR + 1
    with Progress(*columns, console=console, transient=True) as bars:
        line = counter.line_within(room)
        bar = bars.add_task(line, total=counter.total, completed=counter.done)

        def advance() -> None:
            counter.advance()
            bars.update(bar, advance=1, description=counter.line_within(room))

        yield advance


@contextmanager
def _printed(counter: _Counter) -> Iterator[Callable[[], None]]:
    """A line after some time and a twentieth of the work; for a very long step, more often."""
    last, last_done = time.monotonic(), counter.done

    def advance() -> None:
        nonlocal last, last_done
        counter.advance()
        waited = time.monotonic() - last
        share = (counter.done - last_done) / max(counter.total, 1)
        is_due = waited >= _SECONDS_BETWEEN_LINES and share >= _SHARE_BETWEEN_LINES
        if is_due or waited >= _MOST_SECONDS_BETWEEN_LINES:
            last, last_done = time.monotonic(), counter.done
            report_progress(counter.line())

    yield advance

"""Progress of long steps: a live bar on a terminal, elsewhere a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from kdbench.system.console import report_progress

_SECONDS_BETWEEN_LINES = 15


@contextmanager
def progress(title: str, total: int, done: int, unit: str) -> Iterator[Callable[[], None]]:
    """Show progress on stderr; the caller calls the yielded function after each unit.

    Args:
        title: What is in progress, such as a task's name.
        total: Number of units in all.
        done: Number of units that were finished before.
        unit: Name of the units in the plural, such as "samples".
    """
    if sys.stderr.isatty():
        with _bar(title, total, done, unit) as advance:
            yield advance
    else:
        yield _lines(title, total, done, unit)


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


@contextmanager
def _bar(title: str, total: int, done: int, unit: str) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.2f} " + unit + "/s"),
        TimeLeft(),
    )
    start = time.monotonic()
    made = 0
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=total, completed=done, rate=0.0)

        def advance() -> None:
            nonlocal made
            made += 1
            bars.update(bar, advance=1, rate=made / max(time.monotonic() - start, 1e-9))

        yield advance


def _lines(title: str, total: int, done: int, unit: str) -> Callable[[], None]:
    start = last = time.monotonic()
    made = 0

    def advance() -> None:
        nonlocal made, last
        made += 1
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = made / (now - start)
            left = (total - done - made) / rate
            print(  # noqa: T201 - for log files
                f"{title}: {done + made}/{total} {unit}, {rate:.2f}/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    return advance

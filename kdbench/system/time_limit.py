"""A time limit for code that other people wrote, such as templates."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def time_limit(seconds: float, working: bool = False) -> Iterator[None]:
    """Interrupt Python code that does not end; only the main thread can be interrupted.

    Args:
        seconds: Time until the interruption.
        working: Whether only the time counts in which the processor works, not that of downloads.

    Raises:
        TimeoutError: The time is over.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return
    timer = signal.ITIMER_VIRTUAL if working else signal.ITIMER_REAL
    number = signal.SIGVTALRM if working else signal.SIGALRM

    def stop(*_: object) -> None:
        raise TimeoutError(f"it does not end within {seconds:g} seconds")

    before = signal.signal(number, stop)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)

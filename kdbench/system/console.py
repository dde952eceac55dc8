"""Lines for the user: results on stdout, progress on stderr.

Lines can hold names and texts from files, so each is cleaned of what a terminal would obey.
"""

import sys
from functools import cache

from kdbench.text import printable


def say(line: str) -> None:
    """Print a line of a command's result on stdout."""
    sys.stdout.write(f"{printable(line)}\n")


def report_progress(line: str) -> None:
    """Print a line about work in progress on stderr, at once."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def escape_unencodable() -> None:
    """Escape characters that stdout and stderr cannot encode, instead of failing at them."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@cache
def note_once(line: str) -> None:
    """Print a line about a doubtful input on stderr, once in a process."""
    report_progress(line)

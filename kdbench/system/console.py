"""Lines for the user: results on stdout, progress on stderr."""

import sys
from functools import cache


def say(line: str) -> None:
    """Print a line of a command's result on stdout."""
    sys.stdout.write(f"{line}\n")


def report_progress(line: str) -> None:
    """Print a line about work in progress on stderr, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@cache
def note_once(line: str) -> None:
    """Print a line about a doubtful input on stderr, once in a process."""
    report_progress(line)

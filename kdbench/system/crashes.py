"""The log of an unexpected error: its traceback in a file, and one line that names the file."""

import os
import sys
import tempfile
import traceback
from pathlib import Path

LOG = "KDBENCH_LOG"
"""Environment variable that names the log file; a new file in the temporary folder without it."""
PRINT = "KDBENCH_TRACEBACK"
"""Environment variable that also prints the traceback, if it is set and not 0."""

_LONGEST = 300  # characters of a message


def describe_crash(error: BaseException) -> str:
    """Describe an error in one short line: its type and message."""
    message = " ".join(str(error).split())
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}…"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def log_crash(error: BaseException) -> str:
    """Log the traceback of an error.

    Args:
        error: The error.

    Returns:
        Where the traceback is, for the end of a message.
    """
    text = "".join(traceback.format_exception(error))
    if os.environ.get(PRINT, "0") not in ("", "0"):
        sys.stderr.write(text)
    try:
        return f"traceback in {_write(text)}"
    except OSError:  # nowhere to write
        return f"{PRINT}=1 prints the traceback"


def _write(text: str) -> Path:
    content = text.encode("utf-8", "backslashreplace")
    if named := os.environ.get(LOG):
        with Path(named).open("ab") as stream:
            stream.write(content)
        return Path(named)
    handle, path = tempfile.mkstemp(prefix="kdbench-", suffix=".log")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    return Path(path)

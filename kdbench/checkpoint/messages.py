"""What libraries report while they load: errors as one line, warnings on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from kdbench.errors import InputError
from kdbench.text import printable

_LENGTH = 300


class one_line:  # noqa: N801 - a context manager, used like a function
    """A context that turns any error of a library into one line that names the folder or file.

    Args:
        path: Folder or file that is read; no code of kdbench may run in the context.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, InputError):
            return
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            return
        reason = printable(" ".join(str(error).split())[:_LENGTH])
        if not isinstance(error, OSError | ValueError | RuntimeError | ImportError):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(f"{self.path}: cannot be loaded: {reason}") from error


@cache
def warn_once(line: str) -> None:
    """Print a line on stderr, unless this process has already printed it."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


class _Relay(logging.Handler):
    """Prints each warning of a library as one line on stderr."""

    def __init__(self, path: Path):
        super().__init__(logging.WARNING)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if "LOAD REPORT" not in text:  # `proof` reports these tensors by name
            warn_once(f"{self._path}: transformers: {text[:_LENGTH]}")


@contextmanager
def relayed_warnings(path: Path) -> Iterator[None]:
    """Print what transformers warns about while it loads, although its log is silenced.

    Args:
        path: Folder that is loaded.
    """
    logger = logging.getLogger("transformers")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Relay(path)], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)

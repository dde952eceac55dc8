"""What libraries report while they load: errors as one line, warnings on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from kdbench.errors import InputError
from kdbench.text import printable

_LOG = logging.getLogger(__name__)
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
    """Print a line on stderr, once in a process; this room is on the floor of `system.console`."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


class _Collector(logging.Handler):
    """Collects the warnings of a library."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def relayed_warnings(path: Path) -> Iterator[None]:
    """Print what transformers warns about while it loads, although its log is silenced.

    If the context ends in an error, the warnings go to the logger of this module instead, as the
    error names the cause.

    Args:
        path: Folder that is loaded.
    """
    logger = logging.getLogger("transformers")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    collector = _Collector()
    logger.handlers, logger.propagate = [collector], False
    logger.setLevel(logging.WARNING)
    try:
        yield
        for text in collector.texts:
            if "LOAD REPORT" not in text:  # `proof` reports these tensors by name
                warn_once(f"{path}: transformers: {' '.join(text.split())[:_LENGTH]}")
    except Exception:
        _LOG.info("%s: transformers: %s", path, "\n".join(collector.texts))
        raise
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)

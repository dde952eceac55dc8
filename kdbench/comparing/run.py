"""Running a comparison as a verb: printing the result, and returning the exit code."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.terminal import coloured, terminal
from kdbench.comparing.verdict import EXIT_INCOMPLETE, Problem
from kdbench.errors import InputError
from kdbench.system.console import report_progress, styled, takes_styles
from kdbench.system.crashes import describe_crash, log_crash
from kdbench.system.layout import output_width
from kdbench.system.outputs import is_standard_output


def run_verb(
    compare: Callable[[], Comparison | None],
    refuse: Callable[[Problem], Comparison],
    outputs: Iterable[Path | None] = (),
) -> int:
    """Print a comparison and return its exit code.

    Args:
        compare: Makes the comparison; returns None if the verb did something else.
        refuse: Writes the output files of a comparison that failed with a problem.
        outputs: The output files; if standard output is among them, the text goes to stderr.

    Raises:
        InputError: The user can fix it.
        OSError: A file cannot be written.
    """
    try:
        comparison = compare()
    except (InputError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - Python's exit code 1 would look like a regression
        text = f"the run failed: {describe_crash(error)}"
        report_progress(f"kdbench: {text} ({log_crash(error)})")
        comparison = refuse(Problem(EXIT_INCOMPLETE, text))
    if comparison is None:
        return 0
    taken = any(path is not None and is_standard_output(path) for path in outputs)
    _print(comparison, sys.stderr if taken else sys.stdout)
    return comparison.exit_code


def _print(comparison: Comparison, stream: TextIO) -> None:
    """Print in colour on a terminal, and plain text elsewhere."""
    width = output_width() if stream is sys.stdout else None
    if not takes_styles(stream):
        stream.write(terminal(comparison, width))
        return
    stream.write(styled(coloured(comparison, width), "", stream))

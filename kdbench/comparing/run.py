"""Running a comparison as a verb: printing the result, and returning the exit code."""

import sys
import traceback
from collections.abc import Callable

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.terminal import coloured, terminal
from kdbench.comparing.verdict import EXIT_INCOMPLETE, Problem
from kdbench.errors import InputError


def run_verb(
    compare: Callable[[], Comparison | None], refuse: Callable[[Problem], Comparison]
) -> int:
    """Print a comparison and return its exit code.

    Args:
        compare: Makes the comparison; returns None if the verb did something else.
        refuse: Writes the output files of a comparison that failed with a problem.

    Raises:
        InputError: The user can fix it.
        OSError: A file cannot be written.
    """
    try:
        comparison = compare()
    except (InputError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - Python's exit code 1 would look like a regression
        traceback.print_exc()
        text = f"the run failed: {type(error).__name__}: {error}".splitlines()[0]
        comparison = refuse(Problem(EXIT_INCOMPLETE, text))
    if comparison is None:
        return 0
    _print(comparison)
    return comparison.exit_code


def _print(comparison: Comparison) -> None:
    """Print in colour on a terminal, and plain text elsewhere."""
    if not sys.stdout.isatty():
        sys.stdout.write(terminal(comparison))
        return
    from rich.console import Console

    Console(highlight=False).print(coloured(comparison), end="", soft_wrap=True)

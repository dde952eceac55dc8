"""A comparison as a verb: printed, with its exit code."""

import traceback
from collections.abc import Callable

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.show import show
from kdbench.comparing.verdict import EXIT_INCOMPLETE, Problem
from kdbench.errors import InputError


def run(make: Callable[[], Comparison | None], refuse: Callable[[Problem], Comparison]) -> int:
    """Print what is made; the exit code.

    Args:
        make: the comparison; None where something else was done.
        refuse: writes the files of a comparison that did not come about.

    Raises:
        InputError: what the user can mend.
        OSError: a file that cannot be written.
    """
    try:
        comparison = make()
    except (InputError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - Python's exit code 1 would look like a regression
        traceback.print_exc()
        text = f"the run failed: {type(error).__name__}: {error}".splitlines()[0]
        comparison = refuse(Problem(EXIT_INCOMPLETE, text))
    if comparison is None:
        return 0
    show(comparison)
    return comparison.exit_code

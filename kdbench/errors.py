"""The one exception for what a user can mend."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input, told in one line that names the file, line or key and the way out.

    The command line prints it on stderr and exits with 2; nothing has been half-written.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error line: the nearest known word, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"

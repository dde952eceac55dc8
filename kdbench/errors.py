"""The exception for errors that a user can fix, and the wording of such errors."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """An error in the input; its one-line message names the file, line or key and the way out.

    The command line prints it on stderr and exits with code 2. No file is left half-written.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word, or all known words."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def reason_of(error: BaseException, longest: int = 300) -> str:
    """What an exception of other code says, as one line; its type if it says nothing."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def first_fault(error: "ValidationError") -> tuple[str, str]:
    """The first error that pydantic reports: its dotted place ("" for the whole) and the reason."""
    fault = error.errors()[0]
    reason = fault["msg"].removeprefix("Value error, ")
    return ".".join(map(str, fault["loc"])), reason[0].lower() + reason[1:]

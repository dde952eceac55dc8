"""The exception for errors that a user can fix, and the wording of such errors."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


_SHOWN = 12  # names in a message


class InputError(ValueError):
    """An error in the input; its one-line message names the file, line or key and the way out.

    The command line prints it on stderr and exits with code 2. No file is left half-written.
    """


@contextmanager
def faults_in(place: str) -> Iterator[None]:
    """Name a place in the message of each `InputError` of a block.

    Raises:
        InputError: The block raised one.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word, or all known words."""
    known = sorted(known)
    if not known:
        return "there is none"
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def nearest_of(word: str, known: Iterable[str]) -> str:
    """A part of an error message: `; did you mean …?`, or a few of the known words.

    Unlike `nearest`, it does not tell case apart and shortens a long list.
    """
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{by_folded[close[0]]}'?"
    shown = sorted(by_folded.values(), key=lambda name: (name.count("/"), name))[:_SHOWN]
    rest = len(by_folded) - len(shown)
    more = f" and {rest} more" if rest else ""
    return f"; there is {', '.join(shown)}{more}" if shown else ""


def nearest_path(path: Path) -> str:
    """A part of an error message about a missing file or folder: the nearest that exists.

    It is empty if no folder on the way to the path has anything of a similar name.
    """
    parts = path.parts
    for number, part in enumerate(parts):
        folder = Path(*parts[:number])
        if (folder / part).exists():
            continue
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            return ""
        close = difflib.get_close_matches(part, names, n=3, cutoff=0.6)
        rest = parts[number + 1 :]
        whole = next((name for name in close if folder.joinpath(name, *rest).exists()), None)
        if whole is not None:
            return f"; did you mean '{folder.joinpath(whole, *rest)}'?"
        if close:
            return f"; did you mean '{folder / close[0]}'?"
        return f"; '{folder}' has no '{part}'" if number and rest else ""
    return ""


def reason_of(error: BaseException, longest: int = 300) -> str:
    """What an exception of other code says, as one line; its type if it says nothing."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def first_fault(error: "ValidationError") -> tuple[str, str]:
    """The first error that pydantic reports: its dotted place ("" for the whole) and the reason."""
    fault = error.errors()[0]
    reason = fault["msg"].removeprefix("Value error, ")
    return ".".join(map(str, fault["loc"])), reason[0].lower() + reason[1:]

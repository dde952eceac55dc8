"""`kdbench __complete`: what the shells' scripts call."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.cli.completion.words import Candidate, candidates
from kdbench.text import printable, shortened

if TYPE_CHECKING:
    from kdbench.cli.help import VerbHelp

_LONGEST = 70  # characters of a meaning
_SPECIAL = re.compile(r"([\s'\"\\$&;()<>|*?\[\]{}#~!`])")  # for bash
_OPEN = ("=", "/", ",", ":")  # ends of words that go on


def complete(arguments: Sequence[str], verbs: "Mapping[str, VerbHelp]") -> list[str]:
    """The lines for a shell; empty for words that cannot be completed.

    Args:
        arguments: `words WORD…` with the words after `kdbench`, for zsh and fish; or
            `bash WORDBREAKS LINE` with the line up to the cursor.
        verbs: All verbs by name.
    """
    match list(arguments):
        case ["words", *words]:
            return [_with_text(candidate) for candidate in _printable(candidates(words, verbs))]
        case ["bash", breaks, line]:
            return _for_bash(breaks, line, verbs)
    return []


def _with_text(candidate: Candidate) -> str:
    """A word, a tab and its meaning."""
    text = shortened(printable(candidate.text), _LONGEST)
    return f"{candidate.word}\t{text}" if text else candidate.word


def _for_bash(breaks: str, line: str, verbs: "Mapping[str, VerbHelp]") -> list[str]:
    """What bash puts in place of the part of the word after the last of its word breaks."""
    words = _split(line)[1:]
    current = words[-1] if words else ""
    cut = max((current.rfind(char) for char in breaks if not char.isspace()), default=-1) + 1
    found = [candidate.word for candidate in _printable(candidates(words or [""], verbs))]
    return [_SPECIAL.sub(r"\\\1", word[cut:]) + " " * (not word.endswith(_OPEN)) for word in found]


def _printable(found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates without those that hold what a terminal would obey."""
    return [candidate for candidate in found if candidate.word.isprintable()]


def _split(line: str) -> list[str]:
    """The words of a line as a shell splits them; an open quote ends with the line."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return words if line and not line[-1].isspace() else [*words, ""]
    return line.split(" ")

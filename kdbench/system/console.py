"""Lines for the user: results on stdout, progress on stderr.

Lines can hold names and texts from files, so each is cleaned of what a terminal would obey. Colour
and bold only repeat what the text says, and switch off by themselves.
"""

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, TextIO

from kdbench.system.shown_places import with_urls
from kdbench.text import printable

if TYPE_CHECKING:
    from rich.text import Text


def say(line: str) -> None:
    """Print a line of a command's result on stdout."""
    sys.stdout.write(f"{printable(with_urls(line))}\n")


def say_styled(line: "Text | str", style: str = "") -> None:
    """Print a line of a command's result on stdout, with its styles where the output has any.

    Args:
        line: Line to print; a `Text` must be printable.
        style: Style of the whole line, such as `bold` or `dim`.
    """
    sys.stdout.write(f"{styled(line, style, sys.stdout)}\n")


def styled(line: "Text | str", style: str, stream: TextIO) -> str:
    """A line with the escape sequences of its styles, or plain where the stream takes none."""
    text = printable(with_urls(line)) if isinstance(line, str) else line.plain
    if not text or not takes_styles(stream):
        return text
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, color_system="standard", highlight=False)
    shown = Text(text) if isinstance(line, str) else line.copy()
    shown.end = ""
    shown.stylize(style)
    with console.capture() as capture:
        console.print(shown, soft_wrap=True, end="")
    return capture.get()


def takes_styles(stream: TextIO) -> bool:
    """Whether a stream gets colour and bold.

    `NO_COLOR` (https://no-color.org) switches them off; `FORCE_COLOR` and `CLICOLOR_FORCE` switch
    them on; otherwise a terminal gets them unless `TERM=dumb` or `CLICOLOR=0`.
    """
    values = {key: os.environ.get(key, "") for key in ("NO_COLOR", "TERM", "CLICOLOR")}
    if values["NO_COLOR"]:
        return False
    forced = [os.environ.get(key, "") for key in ("FORCE_COLOR", "CLICOLOR_FORCE")]
    if any(value not in ("", "0") for value in forced):
        return True
    if values["TERM"] in ("dumb", "unknown") or values["CLICOLOR"] == "0" or forced[0] == "0":
        return False
    return stream.isatty()


def report_progress(line: str, style: str = "") -> None:
    """Print a line about work in progress on stderr, at once."""
    sys.stderr.write(f"{styled(line, style, sys.stderr)}\n")
    sys.stderr.flush()


def escape_unencodable() -> None:
    """Escape characters that stdout and stderr cannot encode, instead of failing at them."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@cache
def note_once(line: str) -> None:
    """Print a line about a doubtful input on stderr, once in a process."""
    report_progress(line)

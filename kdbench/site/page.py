"""A page of the site: what it says without scripts, and what its scripts add."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

Data = Any | Callable[[], Any]
"""JSON value, or a function that makes it when it is written."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Page:
    """A page, which becomes a section of the one `index.html`.

    Attributes:
        name: Name in the address: `leaderboard` is shown at `#/leaderboard`.
        title: Heading, and text of the link to it.
        html: What it shows, readable without scripts.
        scripts: Files in `static/` that it needs, in order; each is loaded once.
        styles: Style sheets in `static/` that it needs, besides `site.css`.
        data: Values that its scripts load, by name, with `kdbench.load(name)`. A large value is a
            function, so that only one is in memory while the site is written. Names come from
            `data_name`.
        notes: Lines that are shown below the page.
        libraries: Large files in `static/` that its scripts load when they need them, with
            `kdbench.library(file)`.
    """

    name: str
    title: str
    html: Markup = field(repr=False)
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    data: Mapping[str, Data] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.data:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a file; use data_name")


def data_name(*parts: object) -> str:
    """A name for data that is safe as a file's: `samples.dolly.0`.

    Args:
        parts: Texts and numbers; different parts give different names.
    """
    return ".".join(
        re.sub(r"[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}_", str(part)) for part in parts
    )


def value_of(data: Data) -> Any:
    """The JSON value of data."""
    return data() if callable(data) else data

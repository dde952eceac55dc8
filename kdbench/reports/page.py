"""The report as one static page: no scripts, nothing from elsewhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.reports.findings import counted, said
from kdbench.reports.model import Findings, Number
from kdbench.reports.rows import Row
from kdbench.reports.style import Picture, title_of

_DECIMALS = {"points": 2, "tokens": 1, "percent": 1}
_ABOUT = {
    "gain": (
        "Gain beside fidelity",
        "Up is a better score than the baseline's, right is a student more like its teacher. "
        "Error bars are 95 % paired bootstrap intervals over prompts; where a bar crosses a line, "
        "the sign is not certain.",
    ),
    "band": (
        "Agreement within its band",
        "Two models that are often right agree often, however different they are: agreement can "
        "only lie in the shaded band. Read the place within the band, not the height.",
    ),
    "cells": (
        "Right and wrong together",
        "The blue parts are agreement. Light blue is the part that knowing the right answer does "
        "not explain: the same mistakes.",
    ),
    "by_token": (
        "Fidelity by token",
        "How like its teacher the student is at each token of a response. A curve on its own text "
        "that falls below the one on the teacher's text is exposure bias. Thin ends rest on too "
        "few responses for an interval.",
    ),
    "exposure": (
        "Accumulated exposure error",
        "How much more divergence from the teacher gathers on the student's own text than on the "
        "teacher's, up to a length. 0 is no exposure bias.",
    ),
}


@dataclass(frozen=True)
class _Section:
    """A picture on the page."""

    name: str
    title: str
    about: str
    svg: str


def page(
    found: Findings,
    settings: Mapping[str, Any],
    tables: Mapping[str, Sequence[Row]],
    pictures: Mapping[str, Picture],
) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("kdbench.reports"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["task_title"] = title_of
    sections = [
        # The picture is our own; names in it were escaped when it was drawn.
        _Section(name, *_ABOUT[name], Markup(inline_svg(picture.svg, name)))  # noqa: S704
        for name, picture in pictures.items()
    ]
    return environment.get_template("index.html.j2").render(
        found=found,
        settings={key: _word(value) for key, value in settings.items()},
        sections=sections,
        tables=sorted(tables),
        quadrants=counted(found) if found.baseline else [],
        correlations=[said(one) for one in found.correlations],
        score=lambda one: number(one, found.score.unit),
        fidelity=lambda one: number(one, found.fidelity.unit),
    )


def inline_svg(svg: bytes, name: str) -> str:
    """A picture for the page: without the file's head, its ids told apart from others'."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    # The view box gives the shape; letters stay as large as the page's.
    head, end, rest = text.partition(">")
    points = re.search(r' width="([\d.]+)pt"', head)
    most = f"max-width: {1.5 * float(points[1]):.0f}px" if points else ""
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} style="{most}" role="img" aria-label="{_ABOUT[name][0]}"{end}{rest}'.strip()


def number(one: Number | None, unit: str) -> str:
    """A number with its interval, as a cell shows it."""
    if one is None:
        return ""
    decimals = _DECIMALS.get(unit, 3)
    text = f"{one.value:.{decimals}f}"
    if one.low is None or one.high is None:
        return text
    return f"{text} [{one.low:.{decimals}f}, {one.high:.{decimals}f}]"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "all"
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )

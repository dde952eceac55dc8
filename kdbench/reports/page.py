"""The report as one static page, without scripts and without anything loaded from elsewhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from kdbench.reports.correlations import correlation_line
from kdbench.reports.model import Findings, Number, Quadrant
from kdbench.reports.panels import title_of
from kdbench.reports.rows import ReportRow
from kdbench.reports.style import Picture
from kdbench.text import AVERAGE, DECIMALS, without_controls

_DECIMALS = {**DECIMALS, "percent": 1}
_TITLES = {
    "gain": "Gain against fidelity",
    "cost": "Quality against cost",
    "band": "Agreement within its band",
    "cells": "Right and wrong together",
    "by_token": "Fidelity by token",
    "exposure": "Accumulated exposure error",
}
_CAPTIONS = {
    "gain": "Up means a better score than the baseline's. Right means closer to the teacher. Error "
    "bars are 95\N{NO-BREAK SPACE}% paired bootstrap intervals over prompts. If a bar crosses a "
    "line, the sign is not certain.",
    "cost": "Up means a better score, left means cheaper to serve. The dotted line, the frontier, "
    "joins the models that no other one beats in both. Error bars are 95\N{NO-BREAK SPACE}% "
    "intervals over prompts.",
    "band": "Two models that are often right often agree, even if they have nothing else in "
    "common. Given the two accuracies, agreement can only lie in the shaded band. Read the "
    "position within the band, not the height.",
    "cells": "The blue parts are agreement. The light blue part is the one that knowing the right "
    "answer does not explain: the same mistakes. p is that of McNemar's exact test that the green "
    "and the orange part differ only by chance.",
    "by_token": "The curves show how faithful each student is at each token of a response. If the "
    "curve for the student's own text falls below the curve for the teacher's text, that is "
    "exposure bias. Where a line is thin, too few responses are left for an interval.",
    "exposure": "The curves show by what percentage more divergence from the teacher accumulates "
    "on the student's own text than on the teacher's text, up to each length. Zero means no "
    "exposure bias.",
}


@dataclass(frozen=True)
class _Section:
    """A picture on the page.

    Attributes:
        name: Name of the picture, as in its file names.
        title: Heading above it.
        caption: How to read it.
        svg: The picture as HTML.
    """

    name: str
    title: str
    caption: str
    svg: str


def page(
    findings: Findings,
    settings: Mapping[str, Any],
    tables: Mapping[str, Sequence[ReportRow]],
    pictures: Mapping[str, Picture],
) -> str:
    """The HTML of the page.

    Args:
        findings: Numbers of the report.
        settings: Settings of the report, as JSON values.
        tables: Rows of each picture, by its name.
        pictures: Drawn pictures by name, in order.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("kdbench.reports"),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=lambda value: without_controls(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["task_title"] = title_of
    sections = [
        _Section(
            name,
            _TITLES[name],
            _CAPTIONS[name],
            # The picture is our own; names in it were escaped when it was drawn.
            Markup(inline_svg(picture.svg, name)),  # noqa: S704
        )
        for name, picture in pictures.items()
    ]
    return environment.get_template("index.html.j2").render(
        findings=findings,
        settings={key: _setting_text(value) for key, value in settings.items()},
        sections=sections,
        tables=sorted(tables),
        quadrants=_quadrant_counts(findings) if findings.baseline else [],
        correlations=[correlation_line(correlation) for correlation in findings.correlations],
        score=lambda number: number_text(number, findings.score.unit),
        fidelity=lambda number: number_text(number, findings.fidelity.unit),
    )


def inline_svg(svg: bytes, name: str) -> str:
    """A picture for the page: no file header, and ids that no other picture has.

    Args:
        svg: Bytes of the SVG file.
        name: Name of the picture, which becomes the prefix of its ids.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    # The view box keeps the proportions; the maximum width keeps letters as large as the page's.
    head, end, rest = text.partition(">")
    width = re.search(r' width="([\d.]+)pt"', head)
    style = f"max-width: {1.5 * float(width[1]):.0f}px" if width else ""
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} style="{style}" role="img" aria-label="{_TITLES[name]}"{end}{rest}'.strip()


def number_text(number: Number | None, unit: str) -> str:
    """A number with its interval, as a cell of the page's table shows it."""
    if number is None:
        return ""
    decimals = _DECIMALS.get(unit, 3)
    text = f"{number.value:.{decimals}f}"
    if number.low is None or number.high is None:
        return text
    return f"{text} [{number.low:.{decimals}f}, {number.high:.{decimals}f}]"


def _quadrant_counts(findings: Findings) -> list[tuple[str, int]]:
    """The number of points in each quadrant, without averages and the baseline."""
    quadrants = [
        point.quadrant
        for point in findings.points
        if point.task != AVERAGE and not point.student.baseline
    ]
    return [(name, quadrants.count(name)) for name in get_args(Quadrant)]


def _setting_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "all"
    return str(value).lower() if isinstance(value, bool) else str(value)

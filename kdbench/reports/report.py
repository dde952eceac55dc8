"""The report as files: pictures, their numbers, one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import ReportSettings
from kdbench.reports import rows
from kdbench.reports.findings import find
from kdbench.reports.model import Findings
from kdbench.reports.rows import Row
from kdbench.reports.style import Picture
from kdbench.system.files import put_bytes, put_text, write_json

_NUMBERS = "report.json"
_PAGE = "index.html"
_PICTURES = ("gain", "band", "cells", "by_token", "exposure")


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        findings: its numbers.
        files: that were written, in order.
    """

    findings: Findings = field(repr=False)
    files: tuple[Path, ...]


def make_report(settings: ReportSettings) -> Report:
    """Find the numbers, draw them, write all files of the report.

    Raises:
        InputError: as for `find`; nothing is written then.
    """
    from kdbench.reports.page import page

    found = find(settings)
    tables = _tables(found)
    pictures = _draw(found, tables, settings.level)
    shown = settings.model_dump(mode="json", exclude={"out"})
    written: list[Path] = []
    for name, picture in pictures.items():
        files = settings.out / f"{name}.png", settings.out / f"{name}.svg"
        put_bytes(files[0], picture.png)
        put_bytes(files[1], picture.svg)
        written += files
    for name, of_picture in tables.items():
        put_text(settings.out / f"{name}.csv", rows.as_csv(of_picture))
        written.append(settings.out / f"{name}.csv")
    own = (settings.out / _NUMBERS).exists()
    write_json(settings.out / _NUMBERS, rows.as_json(found, shown, tables))
    put_text(settings.out / _PAGE, page(found, shown, tables, pictures))
    written += [settings.out / _NUMBERS, settings.out / _PAGE]
    if own:
        _remove_old(settings.out, written)
    return Report(found, tuple(written))


def _tables(found: Findings) -> dict[str, Sequence[Row]]:
    """The rows of each picture; a picture without any is not drawn."""
    tables: dict[str, Sequence[Row]] = {
        "gain": rows.gain_rows(found),
        "band": rows.band_rows(found),
        "cells": rows.cell_rows(found),
        "by_token": rows.curve_rows(found),
    }
    if any(one.value is not None for one in found.exposure):
        tables["exposure"] = rows.exposure_rows(found)
    return {name: table for name, table in tables.items() if table}


def _draw(found: Findings, tables: Mapping[str, Any], level: bool) -> dict[str, Picture]:
    from kdbench.reports.answers import draw_band, draw_cells
    from kdbench.reports.by_token import draw_by_token, draw_exposure
    from kdbench.reports.gain import draw_gain

    pictures = {}
    if any(one.gain and one.change and not one.student.baseline for one in found.points):
        pictures["gain"] = draw_gain(found, level)
    drawers = {
        "band": draw_band,
        "cells": draw_cells,
        "by_token": draw_by_token,
        "exposure": draw_exposure,
    }
    return pictures | {name: draw(found) for name, draw in drawers.items() if name in tables}


def _remove_old(folder: Path, written: Sequence[Path]) -> None:
    """Pictures of an earlier report in its place would be read as this one's."""
    for name in _PICTURES:
        for ending in ("png", "svg", "csv"):
            file = folder / f"{name}.{ending}"
            if file not in written:
                file.unlink(missing_ok=True)

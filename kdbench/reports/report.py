"""The files of a report: pictures, their numbers, and a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.config import ReportSettings, ServingKeys
from kdbench.config.kinds import given_keys
from kdbench.reports import rows
from kdbench.reports.costs import Costs, cost_rows, find_costs
from kdbench.reports.findings import findings_of
from kdbench.reports.frames import report_frame
from kdbench.reports.model import Findings
from kdbench.reports.rows import ReportRow
from kdbench.reports.select import select
from kdbench.reports.style import Picture
from kdbench.system.files import put_bytes, put_text, write_json

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = "report.json"
_PAGE = "index.html"
_PICTURES = ("gain", "cost", "band", "cells", "by_token", "exposure")


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        findings: Its numbers.
        files: Paths of its files, in the order in which they were written.
    """

    findings: Findings = field(repr=False)
    files: tuple[Path, ...]

    def to_pandas(self, name: str = "gain") -> "pd.DataFrame":
        """Return the numbers of a picture as a data frame; see `report_frame`."""
        return report_frame(self.findings, name)


def make_report(settings: ReportSettings) -> Report:
    """Compute the numbers of a report, draw its pictures and write its files.

    Raises:
        InputError: As `find` and `find_costs` raise it; nothing has been written then.
    """
    from kdbench.reports.page import page

    findings, costs = _find(settings)
    tables = _tables(findings, costs)
    pictures = _draw(findings, costs, tables, settings.level)
    # Keys of speed are shown if they are given.
    given = {key for key in ServingKeys.model_fields if getattr(settings, key)}
    hidden = {"out", "dry_run", *ServingKeys.model_fields} - given
    shown_settings = settings.model_dump(mode="json", exclude=hidden)
    used = {"score": findings.score.name, "fidelity": findings.fidelity.name}
    shown_settings |= {k: name for k, name in used.items() if k not in given_keys(settings)}
    written: list[Path] = []
    for name, picture in pictures.items():
        png, svg = settings.out / f"{name}.png", settings.out / f"{name}.svg"
        put_bytes(png, picture.png)
        put_bytes(svg, picture.svg)
        written += [png, svg]
    for name, table in tables.items():
        put_text(settings.out / f"{name}.csv", rows.as_csv(table))
        written.append(settings.out / f"{name}.csv")
    holds_a_report = (settings.out / _NUMBERS).exists()
    write_json(settings.out / _NUMBERS, rows.as_json(findings, shown_settings, tables))
    put_text(settings.out / _PAGE, page(findings, shown_settings, tables, pictures))
    written += [settings.out / _NUMBERS, settings.out / _PAGE]
    if holds_a_report:
        _remove_stale(settings.out, written)
    return Report(findings, tuple(written))


def plan(settings: ReportSettings) -> tuple[Findings, list[Path]]:
    """The numbers of a report, and the files that it would have, in the order of writing.

    Raises:
        InputError: As for `make_report`.
    """
    findings, costs = _find(settings)
    tables = _tables(findings, costs)
    pictures = ["gain"] if findings.has_gains else []
    pictures += [name for name in _PICTURES if name != "gain" and name in tables]
    files = [f"{name}.{ending}" for name in pictures for ending in ("png", "svg")]
    names = [*files, *(f"{name}.csv" for name in tables), _NUMBERS, _PAGE]
    return findings, [settings.out / name for name in names]


def _find(settings: ReportSettings) -> tuple[Findings, Costs]:
    selection = select(settings)
    findings = findings_of(settings, selection)
    costs = find_costs(settings, findings, selection)
    return replace(findings, left_out=(*findings.left_out, *costs.left_out)), costs


def _tables(findings: Findings, costs: Costs) -> dict[str, Sequence[ReportRow]]:
    """The rows of each picture, by its name; a picture without rows is not drawn."""
    tables: dict[str, Sequence[ReportRow]] = {
        "gain": rows.gain_rows(findings),
        "cost": cost_rows(costs, findings.score.name),
        "band": rows.band_rows(findings),
        "cells": rows.cell_rows(findings),
        "by_token": rows.curve_rows(findings),
        "exposure": rows.exposure_rows(findings) if findings.has_exposure else [],
    }
    return {name: table for name, table in tables.items() if table}


def _draw(
    findings: Findings, costs: Costs, tables: Mapping[str, Sequence[ReportRow]], level: bool
) -> dict[str, Picture]:
    from kdbench.reports.answers import draw_band, draw_cells
    from kdbench.reports.by_token import draw_by_token, draw_exposure
    from kdbench.reports.cost import draw_cost
    from kdbench.reports.gain import draw_gain

    pictures = {"gain": draw_gain(findings, level)} if findings.has_gains else {}
    pictures |= {"cost": draw_cost(costs, findings)} if "cost" in tables else {}
    drawers = {
        "band": draw_band,
        "cells": draw_cells,
        "by_token": draw_by_token,
        "exposure": draw_exposure,
    }
    return pictures | {name: draw(findings) for name, draw in drawers.items() if name in tables}


def _remove_stale(folder: Path, written: Sequence[Path]) -> None:
    """Delete the pictures of an earlier report in this folder that this report does not have."""
    for name in _PICTURES:
        for ending in ("png", "svg", "csv"):
            file = folder / f"{name}.{ending}"
            if file not in written:
                file.unlink(missing_ok=True)

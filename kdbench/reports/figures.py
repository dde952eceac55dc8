"""The figures of a report: numbers, pictures, and the files that hold them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdbench.config import ReportSettings
from kdbench.reports import rows
from kdbench.reports.costs import Costs, cost_rows, find_costs
from kdbench.reports.findings import findings_of
from kdbench.reports.model import Findings
from kdbench.reports.rows import ReportRow
from kdbench.reports.select import select
from kdbench.reports.style import Picture
from kdbench.store.runs import StoredRun

PICTURES = ("gain", "cost", "band", "cells", "by_token", "exposure")


@dataclass(frozen=True)
class Figures:
    """The numbers of the pictures, before these are drawn.

    Attributes:
        findings: Numbers of quality and fidelity.
        costs: What each model costs to serve.
        tables: Rows of each picture, by its name; a picture without rows is not drawn.
        level: Whether gains are plotted against fidelity itself.
    """

    findings: Findings
    costs: Costs = field(repr=False)
    tables: Mapping[str, Sequence[ReportRow]] = field(repr=False)
    level: bool = False

    @property
    def pictures(self) -> list[str]:
        """Names of the pictures, in order."""
        has_gains = self.findings.has_gains
        return [name for name in PICTURES if (has_gains if name == "gain" else name in self.tables)]

    @property
    def files(self) -> list[str]:
        """Names of the files of all pictures and tables."""
        drawn = [f"{name}.{ending}" for name in self.pictures for ending in ("png", "svg")]
        return [*drawn, *(f"{name}.csv" for name in self.tables)]

    def content(self) -> Iterator[tuple[str, bytes]]:
        """Draw the pictures; yields the name and the bytes of each of the `files`."""
        for name, picture in draw(self).items():
            yield f"{name}.png", picture.png
            yield f"{name}.svg", picture.svg
        for name, table in self.tables.items():
            yield f"{name}.csv", rows.as_csv(table).encode()


def find_figures(settings: ReportSettings, runs: Sequence[StoredRun]) -> Figures:
    """Compute the numbers of all pictures.

    Raises:
        InputError: As `select`, `findings_of` and `find_costs` raise it.
    """
    selection = select(settings, runs)
    findings = findings_of(settings, selection)
    costs = find_costs(settings, findings, selection)
    findings = replace(findings, left_out=(*findings.left_out, *costs.left_out))
    return Figures(findings, costs, _tables(findings, costs), settings.level)


def _tables(findings: Findings, costs: Costs) -> dict[str, Sequence[ReportRow]]:
    tables: dict[str, Sequence[ReportRow]] = {
        "gain": rows.gain_rows(findings),
        "cost": cost_rows(costs, findings.score.name),
        "band": rows.band_rows(findings),
        "cells": rows.cell_rows(findings),
        "by_token": rows.curve_rows(findings),
        "exposure": rows.exposure_rows(findings) if findings.has_exposure else [],
        "calibration": rows.calibration_rows(findings),
    }
    return {name: table for name, table in tables.items() if table}


def draw(figures: Figures) -> dict[str, Picture]:
    """Draw all pictures; matplotlib takes seconds."""
    from kdbench.reports.answers import draw_band, draw_cells
    from kdbench.reports.by_token import draw_by_token, draw_exposure
    from kdbench.reports.cost import draw_cost
    from kdbench.reports.gain import draw_gain

    findings = figures.findings
    drawers = {
        "gain": lambda: draw_gain(findings, figures.level),
        "cost": lambda: draw_cost(figures.costs, findings),
        "band": lambda: draw_band(findings),
        "cells": lambda: draw_cells(findings),
        "by_token": lambda: draw_by_token(findings),
        "exposure": lambda: draw_exposure(findings),
    }
    return {name: drawers[name]() for name in figures.pictures}

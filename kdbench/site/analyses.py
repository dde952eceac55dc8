"""The page Analyses: the answers of `kdbench analyse`, each with its tables and its figure."""

from typing import Any

from kdbench.reports.conclusions import quantity_texts
from kdbench.site.html import render
from kdbench.site.page import Page, data_name
from kdbench.site.plots import LIBRARIES, SCRIPTS, STYLES
from kdbench.site.source import SiteSource
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionTable,
    Panel,
    Quantity,
    stored_conclusions,
)


def analyses_page(source: SiteSource) -> Page | None:
    """Make the page Analyses; None if no analysis has an answer."""
    conclusions = list(stored_conclusions(source.settings.analyses))
    if not conclusions:
        return None
    shown = [_shown(conclusion) for conclusion in conclusions]
    drawn = [conclusion for conclusion in conclusions if conclusion.panels]
    return Page(
        "analyses",
        "Analyses",
        render("analyses.html.j2", analyses=shown),
        scripts=(*SCRIPTS, "analyses.js") if drawn else (),
        styles=(*STYLES, "analyses.css"),
        data={_data_of(conclusion): _figure(conclusion) for conclusion in drawn},
        libraries=LIBRARIES if drawn else (),
    )


def _data_of(conclusion: Conclusion) -> str:
    return data_name("analysis", conclusion.name)


def _shown(conclusion: Conclusion) -> dict[str, Any]:
    """What the template shows of an answer."""
    settings = " ".join(f"{key}={value}" for key, value in conclusion.settings.items())
    return {
        "name": conclusion.name,
        "title": conclusion.title,
        "question": conclusion.question,
        "paper": conclusion.paper,
        "basis": conclusion.basis,
        "sentences": conclusion.sentences,
        "notes": conclusion.notes,
        "settings": settings,
        "tables": [_table(table) for table in conclusion.tables],
        "figure": _data_of(conclusion) if conclusion.panels else None,
    }


def _table(table: ConclusionTable) -> dict[str, Any]:
    rows = [
        [
            quantity_texts(cell, column) if isinstance(cell, Quantity) else (cell or "", "", "")
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]
    texts = [
        all(not isinstance(row[place], Quantity) for row in table.rows)
        for place in range(len(table.columns))
    ]
    return {"title": table.title, "columns": table.columns, "rows": rows, "texts": texts}


def _figure(conclusion: Conclusion) -> dict[str, Any]:
    """The numbers of the figure."""
    return {"title": conclusion.title, "panels": [_panel(panel) for panel in conclusion.panels]}


def _panel(panel: Panel) -> dict[str, Any]:
    curves = [
        {
            "label": curve.label,
            "joined": curve.joined,
            "points": [
                [x, y, low, high]
                for x, y, low, high in zip(
                    curve.x,
                    curve.y,
                    curve.low or [None] * len(curve.x),
                    curve.high or [None] * len(curve.x),
                    strict=True,
                )
            ],
        }
        for curve in panel.curves
    ]
    return {
        "title": panel.title,
        "x": {"label": panel.x_label, "log": panel.log_x},
        "y": {"label": panel.y_label, "log": panel.log_y},
        "curves": curves,
    }

"""The page Cost: quality against what serving or training costs, and who is on the frontier."""

from typing import Any

from kdbench.reports.model import Axis
from kdbench.reports.panels import title_of
from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.plots import (
    LIBRARIES,
    SCRIPTS,
    STYLES,
    axis_data,
    decimals_of,
    number_data,
)
from kdbench.site.prices import CostViews, find_cost_views
from kdbench.site.source import SiteSource
from kdbench.text import AVERAGE


def cost_page(source: SiteSource) -> Page:
    """Make the page Cost; what is not known is named with the command that measures it."""
    costs = find_cost_views(source)
    rows = _rows(costs)
    html = render("cost.html.j2", costs=costs, rows=rows, over=_over(source))
    if not costs.views:
        return Page("cost", "Cost", html)
    return Page(
        "cost",
        "Cost",
        html,
        scripts=(*SCRIPTS, "cost.js"),
        styles=STYLES,
        data={"cost": lambda: cost_data(costs, _over(source))},
        libraries=LIBRARIES,
    )


def _over(source: SiteSource) -> str:
    """Over what a score is taken: the title of the task, or the average."""
    tasks = source.figures.findings.tasks if source.figures else source.tasks
    return (
        title_of(tasks[0])
        if len(tasks) == 1
        else f"{title_of(AVERAGE).lower()} of {len(tasks)} tasks"
    )


def _rows(costs: CostViews) -> list[dict[str, Any]]:
    """The rows of the page's table, as texts."""
    if costs.score is None:
        return []
    decimals = decimals_of(costs.score.unit)
    known = [{point.student.run: point.cost for point in view.points} for view in costs.views]
    return [
        {
            "label": _label(model.student.label, model.teacher),
            "score": f"{model.score.value:.{decimals}f}",
            "costs": [_short(costs_of_view.get(model.student.run)) for costs_of_view in known],
            "best": [model.student.run in view.best for view in costs.views],
        }
        for model in costs.models
    ]


def _label(label: str, teacher: bool) -> str:
    return label if not teacher or label == "teacher" else f"{label} (teacher)"


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def cost_data(costs: CostViews, over: str) -> dict[str, Any]:
    """The numbers of the page's plot."""
    score: Axis = costs.score or Axis("score", "", "higher")
    index = {model.student.run: number for number, model in enumerate(costs.models)}
    return {
        "score": axis_data(score),
        "over": over,
        "models": [
            {
                "run": model.student.run,
                "label": _label(model.student.label, model.teacher),
                "teacher": model.teacher,
                "baseline": model.student.baseline,
                "score": number_data(model.score),
            }
            for model in costs.models
        ],
        "views": [
            {
                "name": view.name,
                "label": view.label,
                "kind": view.kind,
                "condition": view.condition,
                "points": [[index[point.student.run], point.cost] for point in view.points],
                "frontier": [index[run] for run in view.best],
            }
            for view in costs.views
        ],
    }

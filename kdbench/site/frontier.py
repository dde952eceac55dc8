"""The page Frontier: quality against entropy, as `kdbench frontier` has stored it."""

from typing import Any

from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.plots import LIBRARIES, SCRIPTS, STYLES, decimals_of
from kdbench.site.source import SiteSource
from kdbench.store.frontiers import (
    FrontierNumber,
    FrontierRecord,
    FrontierStudent,
    read_frontier,
)
from kdbench.task import task_title
from kdbench.text import DECIMALS, interval, signed

_VERDICTS = {
    "above": "above the baseline's curve",
    "on": "not told apart from the baseline's curve",
    "below": "below the baseline's curve",
}


def frontier_page(source: SiteSource) -> Page | None:
    """Make the page Frontier; None if no frontier was measured.

    Raises:
        InputError: The stored frontier is damaged.
    """
    record = read_frontier(source.settings.results)
    if record is None:
        return None
    html = render(
        "frontier.html.j2",
        record=record,
        tasks=[task_title(task) for task in record.tasks],
        rows=[_row(student, record) for student in record.students],
        notes=[
            f"{student.label}: {note}."
            for student in record.students
            for note in (*filter(None, [student.reason]), *student.notes)
        ],
    )
    return Page(
        "frontier",
        "Frontier",
        html,
        scripts=(*SCRIPTS, "frontier.js"),
        styles=STYLES,
        data={"frontier": lambda: frontier_data(record)},
        libraries=LIBRARIES,
    )


def _row(student: FrontierStudent, record: FrontierRecord) -> dict[str, Any]:
    """The cells of a student in the page's table, as texts."""
    gain, decimals = student.gain, DECIMALS.get(record.unit, 2)
    is_baseline = student.label == record.baseline
    ends = "" if gain is None else interval(gain.low, gain.high, decimals)
    verdict = "" if student.verdict is None else _VERDICTS[student.verdict]
    return {
        "label": student.label,
        "gain": "–" if gain is None else f"{signed(gain.value, decimals)} {ends}".rstrip(),
        "p": "–"
        if student.adjusted_p is None
        else f"{student.adjusted_p:.3f}".replace("0.000", "<0.001"),
        "range": "–" if student.shared is None else "{:.2f} to {:.2f}".format(*student.shared),
        "trainings": len(student.trainings),
        "verdict": "baseline" if is_baseline else verdict or "not compared",
    }


def frontier_data(record: FrontierRecord) -> dict[str, Any]:
    """The numbers of the page's plots."""
    return {
        "metric": record.metric,
        "unit": record.unit,
        "lower": record.direction == "lower",
        "decimals": decimals_of(record.unit),
        "baseline": record.baseline,
        "students": [
            {
                "label": student.label,
                "gain": _ends(student.gain),
                "points": [
                    [point.temperature, _ends(point.entropy), _ends(point.quality)]
                    for point in student.points
                ],
            }
            for student in record.students
        ],
    }


def _ends(number: FrontierNumber | None) -> list[float | None] | None:
    return None if number is None else [number.value, number.low, number.high]

"""Metrics as cells of a table."""

from typing import TYPE_CHECKING

from kdbench.system.layout import ErrorKind, GridCell, NumberCell
from kdbench.text import DECIMALS

if TYPE_CHECKING:
    from kdbench.store.results import MetricResult

MISSING = "–"


def with_errors(metric: "MetricResult | None", name: str = "") -> GridCell:
    """A metric's value with its interval and its deviation over seeds.

    Args:
        metric: The metric; None if it was not measured.
        name: What stands before the value.
    """
    if metric is None:
        return ""
    if metric.value is None:
        return f"{name} {MISSING}".strip()
    decimals = DECIMALS.get(metric.unit, 2)
    errors: list[tuple[ErrorKind, str]] = []
    if metric.ci_low is not None:
        interval = f"[{metric.ci_low:.{decimals}f}, {metric.ci_high:.{decimals}f}]"
        errors.append(("interval", interval))
    if metric.seed_sd is not None:
        errors.append(("deviation", f"± {metric.seed_sd:.{decimals}f}"))
    return NumberCell(f"{name} {metric.value:.{decimals}f}".strip(), tuple(errors))


def short(metric: "MetricResult | None") -> str:
    """A metric's value in three digits."""
    return "" if metric is None or metric.value is None else f"{metric.value:.3g}"


def with_share(metric: "MetricResult | None") -> str:
    """A metric's value, marked if it is a bound, with the share of the gap that it closes."""
    if metric is None or metric.value is None:
        return MISSING
    text = f"{metric.value:.3f}" if metric.unit != "points" else f"{metric.value:.2f}"
    if metric.bound:
        text = f"{'≥' if metric.bound == 'lower' else '≤'} {text}"
    return text if metric.attained is None else f"{text} ({metric.attained:.0%})"

"""A judge's metrics, by task."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.cli.shown.cells import MISSING
from kdbench.cli.shown.printer import Printer
from kdbench.system.layout import GridCell, NumberCell
from kdbench.text import DECIMALS

if TYPE_CHECKING:
    from kdbench.store.results import MetricResult, TaskResult

_WITH_INTERVAL = ("judge", "judge_score", "win_rate")


def print_judged(printer: Printer, results: "Mapping[str, TaskResult]") -> None:
    """Print a table for each way of judging, then why cells are empty.

    Args:
        printer: Where it is printed.
        results: Results by task.
    """
    for way in dict.fromkeys(way for result in results.values() for way in result.judge):
        _print_way(printer, way, results)


def _print_way(printer: Printer, way: str, results: "Mapping[str, TaskResult]") -> None:
    from kdbench.metrics import GRADES, PREFERENCES, WITHOUT_SCORE

    _, at, opponent = way.partition("@")
    names = [*(PREFERENCES if at else GRADES), *WITHOUT_SCORE]
    judged = {task: result for task, result in results.items() if way in result.judge}
    judge = next(iter(judged.values())).judge[way].get("judge", {}).get("name", "a judge")
    title = f"judged by {judge}" + (f" against {opponent}" if at else "")
    rows: list[Sequence[GridCell]] = [[title, "prompts", *names]]
    reasons = set()
    for task, result in judged.items():
        metrics = [result.metrics.get(f"{name}{at}{opponent}") for name in names]
        cells = [_cell(metric, name) for metric, name in zip(metrics, names, strict=True)]
        prompts = max(metric.n for metric in metrics if metric)
        rows.append([task, str(prompts), *cells])
        reasons |= {metric.reason for metric in metrics if metric and metric.reason}
    printer.table(rows)
    printer.notes(sorted(reasons))


def _cell(metric: "MetricResult | None", name: str) -> GridCell:
    if metric is None or metric.value is None:
        return MISSING
    decimals = DECIMALS.get(metric.unit, 2)
    value = f"{metric.value:.{decimals}f}"
    if name not in _WITH_INTERVAL or metric.ci_low is None:
        return value
    interval = f"[{metric.ci_low:.{decimals}f}, {metric.ci_high:.{decimals}f}]"
    return NumberCell(value, (("interval", interval),))

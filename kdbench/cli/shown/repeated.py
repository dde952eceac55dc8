"""Metrics of repeated samples, such as pass@k: a row each, with a column for each k."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.cli.shown.cells import MISSING
from kdbench.cli.shown.printer import Printer
from kdbench.metrics import of_repeated
from kdbench.system.layout import GridCell, NumberCell

if TYPE_CHECKING:
    from kdbench.store.results import MetricResult, TaskResult


def print_repeated(printer: Printer, results: "Mapping[str, TaskResult]") -> None:
    """Print the table, and why numbers are missing.

    Args:
        printer: Where it is printed.
        results: Results by task.
    """
    found: dict[tuple[str, str], dict[int, MetricResult]] = {}
    for task, result in results.items():
        for name in filter(of_repeated, result.metrics):
            base, _, k = name.partition("@")
            found.setdefault((task, f"{base}@k"), {})[int(k)] = result.metrics[name]
    ks = sorted({k for by_k in found.values() for k in by_k})
    title = NumberCell("repeated samples", (("interval", "[95 % interval]"),))
    rows: list[Sequence[GridCell]] = [[title, "", *(f"k={k}" for k in ks)]]
    for (task, name), by_k in found.items():
        rows.append([task, name, *(_cell(by_k.get(k)) for k in ks)])
    printer.table(rows, left=(0, 1))
    reasons = {
        f"{task}: {metric.reason}"
        for (task, _), by_k in found.items()
        for metric in by_k.values()
        if metric.reason
    }
    printer.notes(sorted(reasons))


def _cell(metric: "MetricResult | None") -> GridCell:
    if metric is None:
        return ""
    if metric.value is None:
        return MISSING
    if metric.ci_low is None:
        return f"{metric.value:.3f}"
    interval = f"[{metric.ci_low:.3f}, {metric.ci_high:.3f}]"
    return NumberCell(f"{metric.value:.3f}", (("interval", interval),))

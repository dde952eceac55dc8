"""The quality of a model's responses: its main metric by task, and others beside it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.cli.shown.asked import AskedMetrics
from kdbench.cli.shown.cells import short, with_errors
from kdbench.cli.shown.printer import Printer
from kdbench.metrics import of_repeated
from kdbench.system.layout import ErrorKind, GridCell, NumberCell
from kdbench.task import NO_REFERENCES

if TYPE_CHECKING:
    from kdbench.store.results import TaskResult

_USUAL = ("exact_match", "response_length", "cut_off", "empty", "lm_loss")
_OF_THINKING = ("thinking_tokens", "unclosed_thinking")  # shown if the model has a thinking
_ERRORS: tuple[tuple[ErrorKind, str], ...] = (
    ("interval", "[95 % interval]"),
    ("deviation", "± seeds"),
)


def print_quality(
    printer: Printer, results: "Mapping[str, TaskResult]", asked: AskedMetrics
) -> None:
    """Print a row for each task: the main metric with its errors, then the others.

    Args:
        printer: Where it is printed.
        results: Results by task or group.
        asked: Metrics that were asked for.
    """
    main = {result.main_metric for result in results.values()}
    usual = _usual(results, main) if asked.are_usual else []
    wanted = [name for name in _wanted(results, main, asked) if name not in usual]
    title = " / ".join(sorted(main)) if len(main) < 3 else "main metric"
    head: list[GridCell] = ["task", "prompts", NumberCell(title, _ERRORS), *usual]
    rows: list[Sequence[GridCell]] = [[*head, *wanted]]
    for task, result in results.items():
        name = result.main_metric if len(main) > 1 else ""
        cells: list[GridCell] = [with_errors(result.metrics[result.main_metric], name)]
        cells += [short(result.metrics.get(name)) for name in usual]
        cells += [with_errors(result.metrics.get(name)) for name in wanted]
        rows.append([task, str(result.data["used"]), *cells])
    printer.table(rows)
    printer.notes(_missing(results, wanted))


def print_own(printer: Printer, results: "Mapping[str, TaskResult]") -> None:
    """Print the other metrics of the tasks that have metrics of their own, a row each."""
    rows: list[Sequence[GridCell]] = [["task", "metric", NumberCell("value", _ERRORS)]]
    for task, result in results.items():
        for name, metric in result.metrics.items():
            if "," in name and name != result.main_metric:
                rows.append([task, name, with_errors(metric)])
    printer.table(rows, left=(0, 1))


def _usual(results: "Mapping[str, TaskResult]", main: set[str]) -> list[str]:
    """The metrics beside the main ones that are printed without `metrics=`."""
    known = {name for result in results.values() for name in result.metrics}
    shown = [name for name in (*_USUAL, *_OF_THINKING) if name in known - main]
    lack = {name for name in shown if all(_lacks(r, name) for r in results.values())}
    return [name for name in shown if name not in lack]


def _wanted(results: "Mapping[str, TaskResult]", main: set[str], asked: AskedMetrics) -> list[str]:
    """The metrics beside the main ones that `metrics=` names; other tables show the rest."""
    judged = {name for r in results.values() for way in r.judge.values() for name in way["metrics"]}
    elsewhere = main | judged
    return [
        name
        for name in asked.of_quality(results.values())
        if name not in elsewhere and "," not in name and not of_repeated(name)
    ]


def _lacks(result: "TaskResult", name: str) -> bool:
    """Whether a metric has no number because the prompts have no references."""
    return name in result.metrics and result.metrics[name].reason == NO_REFERENCES


def _missing(results: "Mapping[str, TaskResult]", wanted: Sequence[str]) -> Iterator[str]:
    """Which prompts the main metrics do not see, and why numbers are missing."""
    for task, result in results.items():
        counted, used = result.metrics[result.main_metric].n, result.data["used"]
        if any(_lacks(result, name) for name in result.metrics):
            yield f"{task}: {NO_REFERENCES}, so nothing is compared with them"
        elif 0 < counted < used:
            yield f"{task}: {result.main_metric} counts {counted} of {used} prompts"
    reasons: dict[str, dict[str, None]] = {}
    for result in results.values():
        for name in (result.main_metric, *wanted):
            metric = result.metrics.get(name)
            if metric is not None and metric.reason and metric.reason != NO_REFERENCES:
                reasons.setdefault(metric.reason, {})[name] = None
    yield from (f"{', '.join(names)}: {reason}" for reason, names in reasons.items())

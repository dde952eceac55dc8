"""How closely a student agrees with its teacher, by task."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.cli.shown.asked import AskedMetrics
from kdbench.cli.shown.cells import MISSING, with_share
from kdbench.cli.shown.printer import Printer

if TYPE_CHECKING:
    from kdbench.store.results import MetricResult, TaskResult

_USUAL = ("acceptance@student", "top1@student", "fkl@teacher", "rkl@student", "rougeL_teacher")
_ANSWERS = {
    "answer_agreement": "agreement",
    "answers_rr": "both right",
    "answers_wr": "only student",
    "answers_rw": "only teacher",
    "answers_wws": "same wrong",
    "answers_wwd": "different wrong",
    "option_fkl": "KL(p‖q) nats",
    "option_ece": "calibration error",
}


def print_fidelity(
    printer: Printer, results: "Mapping[str, TaskResult]", asked: AskedMetrics
) -> None:
    """Print the metrics of fidelity of the tasks that were compared with a teacher, and notes.

    Args:
        printer: Where it is printed.
        results: Results by task.
        asked: Metrics that were asked for; without any, the headline ones are printed.
    """
    wanted = [name for name in asked.of_fidelity(results.values()) if name not in _ANSWERS]
    names = list(dict.fromkeys([*(_USUAL if asked.are_usual else ()), *wanted]))
    compared = {
        task: result
        for task, result in results.items()
        if result.teacher and any(name in result.metrics for name in names)
    }
    names = [name for name in names if any(name in r.metrics for r in compared.values())]
    if not names:
        return
    teachers = [result.teacher["name"] for result in compared.values() if result.teacher]
    rows = [[f"compared with {teachers[0]}", *names]]
    for task, result in compared.items():
        rows.append([task, *(with_share(result.metrics.get(name)) for name in names)])
    printer.table(rows)
    shown = [result.metrics.get(name) for result in compared.values() for name in names]
    printer.notes(_notes([metric for metric in shown if metric is not None]))
    printer.notes(_tokenizer_notes(compared.values()))


def print_answers(
    printer: Printer, results: "Mapping[str, TaskResult]", asked: AskedMetrics
) -> None:
    """Print the agreement of final answers, who is right, and the options' probabilities.

    Args:
        printer: Where it is printed.
        results: Results by task.
        asked: Metrics that were asked for.
    """
    from kdbench.reports.points import equally_right_p

    compared = {
        task: result
        for task, result in results.items()
        if (metric := result.metrics.get("answer_agreement")) and metric.value is not None
    }
    wanted = set(_ANSWERS if asked.are_usual else asked.of_fidelity(results.values()))
    shown = {
        name: title
        for name, title in _ANSWERS.items()
        if name in wanted and any(name in result.metrics for result in compared.values())
    }
    if not shown:
        return
    rows: list[Sequence[str]] = [["final answers", "McNemar p", *shown.values()]]
    for task, result in compared.items():
        p = equally_right_p(result)
        cells = [with_share(result.metrics.get(name)) for name in shown]
        rows.append([task, MISSING if p is None else f"{p:.3f}", *cells])
    printer.table(rows)


def _notes(metrics: "Collection[MetricResult]") -> list[str]:
    """Why cells are empty, and what the numbers in brackets are."""
    missing = {metric.reason for metric in metrics if metric.value is None and metric.reason}
    notes = sorted(missing)
    if any(metric.attained is not None for metric in metrics):
        notes.append("in brackets: share of the gap from undistilled student to ceiling")
    return notes


def _tokenizer_notes(results: "Iterable[TaskResult]") -> list[str]:
    """How far the tokens of different tokenizers meet."""
    notes: dict[str, None] = {}
    for result in results:
        share = result.metrics.get("aligned@student")
        difference = result.teacher and result.teacher.get("tokenizers")
        if difference and share is not None and share.value is not None:
            at = f"{share.value:.0%} of the student's tokens".replace("%", " %")
            notes[f"{difference}: compared where a token of each begins, {at}"] = None
    return list(notes)

"""The page Run: what each run measured, of which checkpoint, how, on what, and at what cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from kdbench.site.boards import ordered_metrics
from kdbench.site.html import render
from kdbench.site.page import Data, Page, data_name
from kdbench.site.plots import LIBRARIES, SCRIPTS, STYLES
from kdbench.site.run_facts import (
    NamedTexts,
    checkpoint_facts,
    cost_facts,
    data_facts,
    environment_facts,
    plain_facts,
    recipe,
)
from kdbench.site.source import SiteSource
from kdbench.site.training import Training, find_training
from kdbench.store.command import command_of
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.tables.provenance import recorded_commands
from kdbench.task import task_title
from kdbench.text import DECIMALS, interval, number

_ARROWS = {"higher": " ↑", "lower": " ↓"}


@dataclass(frozen=True)
class _ShownRun:
    """A run as the page shows it.

    Attributes:
        run: The run.
        label: Its label.
        badge: `teacher` or `baseline`, if it is one.
        links: Texts and addresses of pages about it.
        tasks: Titles of its tasks.
        metrics: Its results, a row for each metric.
        sections: NamedTexts by heading.
        command: The command that measures like this.
        data: The data and prompts of each task.
        training: How its checkpoint was trained, if that was found.
        validations: Columns and rows of its validations.
        log: Name of the data of its training curves; empty without any.
        selected: Step of the training whose checkpoint was kept, if that is known.
        trained: Whether the run knows what the training of its checkpoint cost.
    """

    run: StoredRun
    label: str
    badge: str
    links: Sequence[tuple[str, str]]
    tasks: Sequence[str]
    metrics: Sequence[Mapping[str, Any]]
    sections: Sequence[tuple[str, NamedTexts]]
    command: str
    data: Sequence[NamedTexts]
    training: Training | None = field(default=None, repr=False)
    validations: tuple[Sequence[str], Sequence[Sequence[str]]] = ((), ())
    log: str = ""
    selected: float | None = None
    trained: bool = False


def run_page(source: SiteSource) -> Page:
    """Make the page Run."""
    trainings = find_training(source.settings.runs, source.runs)
    names = {
        run.folder: data_name("training", number)
        for number, run in enumerate(source.runs)
        if run.folder in trainings and trainings[run.folder].series
    }
    metrics = ordered_metrics(source)
    shown = [
        _shown(source, run, metrics, trainings.get(run.folder), names.get(run.folder, ""))
        for run in source.runs
    ]
    data: dict[str, Data] = {
        name: {
            "series": trainings[folder].series,
            "selected": _selected(trainings[folder]),
        }
        for folder, name in names.items()
    }
    html = render("run.html.j2", runs=shown, recipe=recipe, checkpoints=str(source.settings.runs))
    return Page(
        "run", "Run", html, (*SCRIPTS, "run.js"), (*STYLES, "run.css"), data, libraries=LIBRARIES
    )


def _shown(
    source: SiteSource,
    run: StoredRun,
    metrics: Sequence[str],
    training: Training | None,
    log: str,
) -> _ShownRun:
    tasks = [task for task in source.tasks if task in run.results]
    badge = "teacher" if run in source.teachers else "baseline" if run is source.baseline else ""
    return _ShownRun(
        run,
        source.labels[run.folder],
        badge,
        list(_links(source, run, tasks)),
        [task_title(task) for task in tasks],
        list(_metric_rows(source, run, tasks, metrics)),
        [
            ("Checkpoint", checkpoint_facts(run)),
            ("Protocol", plain_facts(run.record["protocol"])),
            ("Cost", list(cost_facts(run, tasks))),
            ("Environment", environment_facts(run)),
        ],
        "\n".join(recorded_commands(run)) or command_of(run, source.settings.results / run.folder),
        [data_facts(run, task) for task in tasks],
        training,
        _validations(training) if training else ((), ()),
        log,
        _selected(training) if training else None,
        bool(run.record.get("training")),
    )


def _links(source: SiteSource, run: StoredRun, tasks: Sequence[str]) -> Iterator[tuple[str, str]]:
    with_samples = [task for task in tasks if source.has_samples(run, task)]
    if with_samples:
        task = with_samples[0]
        yield "its samples", f"#/samples?task={quote(task)}&students={quote(run.folder)}"
    base = source.baseline or next(iter(source.students), None)
    if base is not None and base is not run:
        label = source.labels[base.folder]
        yield (
            f"compare with {label}",
            f"#/compare?base={quote(base.folder)}&new={quote(run.folder)}",
        )


def _metric_rows(
    source: SiteSource, run: StoredRun, tasks: Sequence[str], metrics: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """A row for each metric that the run has, also without a number, for then it has a reason."""
    known = {name for task in tasks for name in run.results[task].metrics}
    for name in [*(m for m in metrics if m in known), *sorted(known - set(metrics))]:
        results = [run.results[task].metrics.get(name) for task in tasks]
        kind = next(result for result in results if result is not None)
        reasons = dict.fromkeys(r.reason for r in results if r is not None and r.reason)
        yield {
            "name": name,
            "arrow": _ARROWS.get(kind.direction, ""),
            "unit": kind.unit,
            "cells": [
                _metric_cell(result, _samples(source, run, task))
                for task, result in zip(tasks, results, strict=True)
            ],
            "reason": "; ".join(reasons),
        }


def _samples(source: SiteSource, run: StoredRun, task: str) -> str:
    if not source.has_samples(run, task):
        return ""
    return f"#/samples?task={quote(task)}&students={quote(run.folder)}"


def _metric_cell(result: MetricResult | None, link: str) -> Mapping[str, str]:
    if result is None or result.value is None:
        return {"value": "", "error": "", "link": ""}
    decimals = DECIMALS.get(result.unit, 2)
    error = interval(result.ci_low, result.ci_high, decimals)
    if result.seed_sd is not None:
        error += f" ± {result.seed_sd:.{decimals}f}"
    return {
        "value": number(result.value, decimals, result.bound),
        "error": error.strip(),
        "link": link,
    }


def _selected(training: Training) -> float | None:
    selected = training.card.get("selected")
    step = selected.get("step") if isinstance(selected, Mapping) else None
    return step if isinstance(step, int | float) else None


def _validations(training: Training) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Columns and rows of the validations in a run card."""
    listed = training.card.get("validations")
    rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
    return columns, [[_number(row.get(name)) for name in columns] for row in rows]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else ""

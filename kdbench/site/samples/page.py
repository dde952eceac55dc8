"""The page Samples: what it says without scripts, and the data that its scripts load by page."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kdbench.site.html import render
from kdbench.site.page import Page, data_name
from kdbench.site.samples.lines import DocumentNumbers
from kdbench.site.samples.run_samples import read_run_samples
from kdbench.site.samples.task import TaskSamples
from kdbench.site.source import SiteSource
from kdbench.store.runs import StoredRun

LARGEST_INLINE = 64 * 2**20
"""Bytes of stored samples beyond which they are left out of a single file."""

_SCRIPTS = ("samples-data.js", "samples-tokens.js", "samples-list.js", "samples.js")


def samples_page(source: SiteSource) -> Page:
    """Make the page Samples.

    Raises:
        InputError: A line of samples is malformed; the message names it.
    """
    tasks = [samples for task in source.tasks if (samples := _read_task(source, task)).runs]
    size = sum(task.size() for task in tasks)
    if source.settings.single_file and size > LARGEST_INLINE:
        note = (
            f"The samples, {size / 2**20:.0f} MB, are too large for a single file. Leave out "
            "single_file=true to write them into a folder."
        )
        return Page("samples", "Samples", render("samples.html.j2", tasks=(), note=note))
    if not tasks:
        note = (
            "These results were kept without samples. kdbench eval with a new results= folder "
            "generates them again."
        )
        return Page("samples", "Samples", render("samples.html.j2", tasks=(), note=note))
    data: dict[str, Any] = {"samples": _contents(source, tasks)}
    for task in tasks:
        data |= _data_of(task)
    return Page(
        "samples",
        "Samples",
        render("samples.html.j2", tasks=tasks, note=""),
        _SCRIPTS,
        ("samples.css",),
        data,
    )


def _read_task(source: SiteSource, task: str) -> TaskSamples:
    teachers = {
        result.teacher.get("sha256")
        for run in source.runs
        for result in run.results.values()
        if result.teacher
    }

    def is_teacher(run: StoredRun) -> bool:
        return run.record["model"].get("sha256") in teachers

    numbers, runs = DocumentNumbers(), []
    asked = [run for run in source.runs if task in run.results]
    for run in sorted(asked, key=is_teacher):  # students first, as in the other pages
        samples = read_run_samples(source.settings.results, run, task, numbers)
        if samples is not None:
            runs.append(samples)
    return TaskSamples(
        task,
        _score(source, asked, task),
        numbers,
        runs,
        [source.labels[samples.run.folder] for samples in runs],
        [is_teacher(samples.run) for samples in runs],
    )


def _score(source: SiteSource, runs: list[StoredRun], task: str) -> str:
    """The metric of the report if it has a mean for each document, else the task's own."""
    results = [run.results[task] for run in runs]
    if any(source.settings.score in result.documents for result in results):
        return source.settings.score
    return next((result.main_metric for result in results), source.settings.score)


def _contents(source: SiteSource, tasks: list[TaskSamples]) -> dict[str, Any]:
    return {
        "baseline": source.baseline.folder if source.baseline else None,
        "tasks": [
            {
                "name": task.name,
                "count": task.count,
                "pages": task.pages,
                "data": data_name("samples", task.name),
            }
            for task in tasks
        ],
    }


def _data_of(task: TaskSamples) -> dict[str, Callable[[], str]]:
    """The packed data of a task: its index, beginnings of prompts, tokens, and pages of texts."""
    name, pages = data_name("samples", task.name), range(task.pages)
    data: dict[str, Callable[[], str]] = {
        f"{name}.index": task.index,
        f"{name}.heads": task.heads,
        f"{name}.tokens": task.tokens,
        **{f"{name}.{number}": partial(task.page, number) for number in pages},
    }
    if any(run.details for run in task.runs):
        data |= {f"{name}.{number}.tokens": partial(task.details, number) for number in pages}
    return data

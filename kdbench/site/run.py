"""The page Run: what each run measured, of which checkpoint, how, on what, and at what cost."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from kdbench.site.boards import ordered_metrics
from kdbench.site.html import render
from kdbench.site.page import Data, Page, data_name
from kdbench.site.plots import LIBRARIES, SCRIPTS, STYLES
from kdbench.site.source import SiteSource
from kdbench.site.training import Training, find_training
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.task import TITLES
from kdbench.text import DECIMALS, duration

_ARROWS = {"higher": " ↑", "lower": " ↓"}
NamedTexts = list[tuple[str, str]]


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
        [TITLES.get(task, task) for task in tasks],
        list(_metric_rows(source, run, tasks, metrics)),
        [
            ("Checkpoint", _checkpoint(run)),
            ("Protocol", _facts(run.record["protocol"])),
            ("Cost", list(_cost(run, tasks))),
            ("Environment", _environment(run)),
        ],
        command_of(run, tasks),
        [_data_facts(run, task) for task in tasks],
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
    bound = {"lower": "≥", "upper": "≤"}.get(result.bound or "", "")
    error = ""
    if result.ci_low is not None and result.ci_high is not None:
        error = f"[{result.ci_low:.{decimals}f}, {result.ci_high:.{decimals}f}]"
    if result.seed_sd is not None:
        error += f" ± {result.seed_sd:.{decimals}f}"
    return {"value": f"{bound}{result.value:.{decimals}f}", "error": error.strip(), "link": link}


def _checkpoint(run: StoredRun) -> NamedTexts:
    record, model = run.record, run.record["model"]
    git = record.get("git") or {}
    disk = model.get("disk_bytes")
    teacher = next((r.teacher for r in run.results.values() if r.teacher), None)
    return _facts(
        {
            "model": model["name"],
            "method": record["method"],
            "setting": record["setting"],
            "parameters": f"{run.parameters:,}" if run.parameters is not None else None,
            "on disk": f"{disk / 1e6:,.1f} MB" if disk is not None else None,
            "dtype": model.get("dtype"),
            "revision": model.get("revision"),
            "SHA-256": model.get("sha256"),
            "compared with": f"{teacher['name']} ({teacher.get('sha256')})" if teacher else None,
            "folder": run.folder,
            "measured": record.get("created"),
            "status": record["status"],
            "kdbench": record.get("kdbench_version"),
            "git": " ".join(f"{k}={v}" for k, v in git.items()) or None,
        }
    )


def _cost(run: StoredRun, tasks: Sequence[str]) -> Iterator[tuple[str, str]]:
    cost = run.record.get("training") or {}
    texts: dict[str, Callable[[Any], str]] = {
        "method": str,
        "samples": "{:,}".format,
        "seconds": duration,
        "student_tokens": "{:,}".format,
        "teacher_tokens": "{:,}".format,
    }
    for key, text in texts.items():
        if cost.get(key) is not None:
            yield f"training {key.replace('_', ' ')}", text(cost[key])
    entries = [run.record["tasks"].get(task, {}) for task in tasks]
    seconds = sum(entry.get("generated_seconds") or 0 for entry in entries)
    tokens = sum(entry.get("generated_tokens") or 0 for entry in entries)
    samples = sum(entry.get("generated_samples") or 0 for entry in entries)
    if samples:
        yield "responses generated", f"{samples:,}"
        yield "tokens generated", f"{tokens:,}"
        yield "time to generate", duration(seconds)
    if seconds:
        yield "tokens per second", f"{tokens / seconds:,.0f}"


def _environment(run: StoredRun) -> NamedTexts:
    environment = dict(run.record.get("environment") or {})
    packages = environment.pop("packages", None) or {}
    backend = dict(run.record.get("backend") or {})
    backend = {"name": backend.pop("name", None), **backend}
    return [
        *_facts(
            {f"backend {key}" if key != "name" else "backend": v for key, v in backend.items()}
        ),
        *_facts({**environment, "gpus": environment.get("gpus") or "none"}),
        *(_facts(packages) if isinstance(packages, Mapping) else []),
    ]


def _data_facts(run: StoredRun, task: str) -> NamedTexts:
    result = run.results[task]
    fingerprint = result.fingerprint
    entry = run.record["tasks"].get(task, {})
    return [
        ("task", TITLES.get(task, task)),
        ("version", str(fingerprint.get("task_version") or "")),
        ("prompts", f"{result.data.get('used', '')} of {result.data.get('rows', '')}"),
        (
            "published data",
            _text(published)
            if (published := result.data.get("published")) is not None
            else "unknown",
        ),
        ("cut prompts", "" if result.cut_prompts is None else str(result.cut_prompts)),
        ("data SHA-256", str(fingerprint.get("data_sha256") or "")[:16]),
        ("prompts SHA-256", str(fingerprint.get("prompts_sha256") or "")[:16]),
        ("responses", str(entry.get("generated_samples", ""))),
    ]


def _facts(values: Mapping[str, Any]) -> NamedTexts:
    """Names and texts of the values that are known."""
    return [(key.replace("_", " "), _text(v)) for key, v in values.items() if v is not None]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items()) or "none"
    return str(value)


def command_of(run: StoredRun, tasks: Sequence[str]) -> str:
    """The command that measures a checkpoint like this run; paths are for the reader to fill in."""
    record = run.record
    name, *overrides = str(record["protocol"]["name"]).split("+")
    teacher = next((r.teacher for r in run.results.values() if r.teacher), None)
    given = {
        "model": f"path/to/{record['model']['name']}",
        "teacher": f"path/to/{teacher['name']}" if teacher else None,
        "data": "path/to/data",
        "tasks": ",".join(tasks),
        "protocol": name,
        "limit": record["limit"],
        "method": record["method"],
        "setting": record["setting"],
    }
    words = [f"{key}={value}" for key, value in given.items() if value is not None]
    return shlex.join(["kdbench", "eval", *words, *(o for o in overrides if "=" in o)])


def _selected(training: Training) -> float | None:
    selected = training.card.get("selected")
    step = selected.get("step") if isinstance(selected, Mapping) else None
    return step if isinstance(step, int | float) else None


def recipe(training: Training) -> NamedTexts:
    """What a run card says of the method, its settings and data, as far as it is there."""
    card = training.card
    of = _mapping(card, "training")
    parts = {
        **_mapping(card, "triple"),
        **_mapping(of, "parameters"),
        "student": _mapping(of, "student").get("name"),
        "teacher": _mapping(of, "teacher").get("name"),
        "steps": card.get("steps"),
        "device": card.get("device"),
        "processes": card.get("processes"),
        **_mapping(of, "settings"),
    }
    return _facts({key: value for key, value in parts.items() if value not in ({}, [])})


def _validations(training: Training) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Columns and rows of the validations in a run card."""
    listed = training.card.get("validations")
    rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    columns = list(dict.fromkeys(["step", *(name for row in rows for name in row)]))
    return columns, [[_number(row.get(name)) for name in columns] for row in rows]


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a run card; empty if it is missing or something else."""
    part = content.get(key)
    return part if isinstance(part, Mapping) else {}


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else ""

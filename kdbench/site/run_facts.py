"""The facts of a run: its checkpoint, cost, environment, data, recipe and command."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kdbench.site.training import Training
from kdbench.store.runs import StoredRun
from kdbench.task import TITLES
from kdbench.text import duration

NamedTexts = list[tuple[str, str]]
"""Names and texts of facts, in order."""


def checkpoint_facts(run: StoredRun) -> NamedTexts:
    """What was measured, when and with which kdbench."""
    record, model = run.record, run.record["model"]
    git = record.get("git") or {}
    disk = model.get("disk_bytes")
    teacher = next((r.teacher for r in run.results.values() if r.teacher), None)
    return plain_facts(
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


def cost_facts(run: StoredRun, tasks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What training the checkpoint and generating its responses took."""
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


def environment_facts(run: StoredRun) -> NamedTexts:
    """Backend, machine and versions of the packages."""
    environment = dict(run.record.get("environment") or {})
    packages = environment.pop("packages", None) or {}
    backend = dict(run.record.get("backend") or {})
    backend = {"name": backend.pop("name", None), **backend}
    return [
        *plain_facts(
            {f"backend {key}" if key != "name" else "backend": v for key, v in backend.items()}
        ),
        *plain_facts({**environment, "gpus": environment.get("gpus") or "none"}),
        *(plain_facts(packages) if isinstance(packages, Mapping) else []),
    ]


def data_facts(run: StoredRun, task: str) -> NamedTexts:
    """The identity of a task's data and prompts."""
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
    return plain_facts({key: value for key, value in parts.items() if value not in ({}, [])})


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a run card; empty if it is missing or something else."""
    part = content.get(key)
    return part if isinstance(part, Mapping) else {}


def plain_facts(values: Mapping[str, Any]) -> NamedTexts:
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

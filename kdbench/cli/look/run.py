"""`kdbench show RUN`: settings, numbers, environment and files of one run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.cli.outline import outline_lines
from kdbench.config.look import ShowSettings
from kdbench.errors import InputError, nearest
from kdbench.store.command import command_of
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import packed_run
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.system.outline import Fact, Section, plain_fields
from kdbench.system.remote.hooks import fetch_samples
from kdbench.text import DECIMALS, aligned, byte_size, counted, duration, interval, printable

_SHA = 12  # digits of a hash that are shown


def run_lines(folder: Path, settings: ShowSettings) -> Iterator[str]:
    """The lines on a run.

    Args:
        folder: Folder of the run.
        settings: Keys of the verb.

    Raises:
        InputError: A file is damaged, or the run has no metric of a name.
    """
    run = open_run(folder)
    record = run.read_whole_run()
    results = {
        result.task: result for result in [*run.tasks(in_parts=True), *run.groups(in_parts=True)]
    }
    facts = tuple(Fact(*fact) for fact in _facts(record, results, folder) if fact[1])
    yield from outline_lines([Section(str(folder), facts)])
    if not results:
        yield from ["", "no task is done yet; run the command again to resume"]
        return
    yield from ["", *_task_table(results, settings.metrics)]
    if not settings.metrics:
        yield from ["", *_means(results)]
        tasks = {result.task: result for result in run.tasks(in_parts=True)}
        command = command_of(StoredRun(str(folder), record, tasks), folder)
        yield from ["", "To measure the same", f"  {command}"] if command else []


def _facts(
    record: Mapping[str, Any], results: Mapping[str, TaskResult], folder: Path
) -> Iterator[tuple[str, str]]:
    done = [task for task in record["tasks"] if task in results]
    missing = [task for task in record["tasks"] if task not in results]
    state = record["status"] if record["status"] != "running" else "not finished"
    yield (
        "state",
        (
            f"{state}, {len(done)} of {len(record['tasks'])} tasks"
            + (f" (missing: {', '.join(missing)})" if missing else "")
        ),
    )
    model, backend = record["model"], record.get("backend") or {}
    yield (
        "model",
        _joined(
            model["name"],
            _size(model),
            model.get("dtype"),
            model.get("revision") and f"revision {model['revision'][:_SHA]}",
            model.get("sha256") and f"sha256 {model['sha256'][:_SHA]}",
        ),
    )
    yield "method", record["method"] or ""
    yield "setting", record["setting"] or ""
    protocol = {key: value for key, value in record["protocol"].items() if key != "name"}
    yield "protocol", f"{record['protocol']['name']}: {plain_fields(protocol)}"
    yield "prompts", "all" if record["limit"] is None else f"first {record['limit']} of each task"
    yield "teacher", ", ".join(sorted({_teacher(result) for result in results.values()} - {""}))
    yield "training", _training(record.get("training") or {})
    yield "backend", _joined(backend.get("name"), _count(backend.get("batch_size"), "batch size"))
    yield "generated", _generated(record["tasks"].values())
    yield (
        "measured",
        _joined(
            str(record.get("created") or "").replace("T", " ").removesuffix("+00:00"),
            record.get("kdbench_version") and f"kdbench {record['kdbench_version']}",
            (record.get("git") or {}).get("commit", "")[:_SHA],
        ),
    )
    yield "machine", _machine(record.get("environment") or {})
    yield "files", _files(folder)


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)


def _count(value: Any, name: str) -> str:
    return "" if value is None else f"{name} {value}"


def _size(model: Mapping[str, Any]) -> str:
    parameters, size = model.get("parameters"), model.get("weight_bytes", model.get("disk_bytes"))
    quantisation = model.get("quantization")
    return _joined(
        parameters and f"{parameters / 1e6:.4g} million parameters",
        quantisation and f"quantised ({quantisation})",
        size and byte_size(size),
        quantisation and parameters and size and f"{8 * size / parameters:.2f} bits a weight",
    )


def _teacher(result: TaskResult) -> str:
    teacher = result.teacher or {}
    sha256 = teacher.get("sha256")
    return _joined(teacher.get("name"), sha256 and f"sha256 {str(sha256)[:_SHA]}")


def _training(training: Mapping[str, Any]) -> str:
    seconds, samples = training.get("seconds"), training.get("samples")
    return _joined(
        training.get("method"),
        samples and f"{samples:g} samples",
        seconds and duration(seconds),
    )


def _generated(tasks: Any) -> str:
    sums = {
        key: sum(task.get(f"generated_{key}", 0) for task in tasks)
        for key in ("samples", "tokens", "seconds")
    }
    if not sums["samples"]:
        return ""
    return f"{sums['samples']} samples, {sums['tokens']} tokens, {duration(sums['seconds'])}"


def _machine(environment: Mapping[str, Any]) -> str:
    gpus, packages = environment.get("gpus"), environment.get("packages") or {}
    names = ("torch", "transformers", "lm_eval", "vllm")
    python = environment.get("python")
    return _joined(
        ", ".join(dict.fromkeys(gpus)) if gpus else "CPU" if gpus == [] else "",
        environment.get("platform"),
        python and f"Python {python}",
        *(f"{name} {packages[name]}" for name in names if packages.get(name)),
    )


def _files(folder: Path) -> str:
    if (packed := packed_run(folder)) is not None:
        return f"packed, {counted(len(packed.tasks), 'result')}, no samples/"
    fetch_samples(folder)
    samples = [file for file in (folder / "samples").glob("*.jsonl") if file.is_file()]
    size = sum(file.stat().st_size for file in samples)
    held = f"samples/ ({counted(len(samples), 'file')}, {byte_size(size)})"
    tasks = len(list(folder.glob("*.json"))) - 1
    return f"run.json, {counted(tasks, 'result')}, {held if samples else 'no samples/'}"


def _task_table(results: Mapping[str, TaskResult], wanted: Sequence[str]) -> list[str]:
    """A row for each task, with the metrics that were asked for or the main one."""
    names = list(wanted) or list(dict.fromkeys(result.main_metric for result in results.values()))
    known = {name for result in results.values() for name in result.metrics}
    for name in wanted:
        if name not in known:
            raise InputError(f"metrics={name}: the run has no such metric: {nearest(name, known)}")
    rows = [["task", "prompts", *(f"{name} [95 % interval] ± seeds" for name in names)]]
    for task, result in results.items():
        shown = [result.metrics.get(name) for name in names]
        prompts = max((metric.n for metric in shown if metric is not None), default=0)
        rows.append([printable(task), str(prompts), *(_cell(metric) for metric in shown)])
    return aligned(rows, left={0})


def _cell(metric: MetricResult | None) -> str:
    if metric is None or metric.value is None:
        return "–"
    decimals = DECIMALS.get(metric.unit, 2)
    text = f"{metric.value:.{decimals}f}"
    if ends := interval(metric.ci_low, metric.ci_high, decimals):
        text += f" {ends}"
    if metric.seed_sd is not None:
        text += f" ± {metric.seed_sd:.{decimals}f}"
    return text


def _means(results: Mapping[str, TaskResult]) -> list[str]:
    """Every metric, its mean over the tasks that have it, and how to read it."""
    better = {"higher": "higher is better", "lower": "lower is better"}
    rows: list[Sequence[str]] = [("metric", "mean", "tasks", "unit", "")]
    for name in dict.fromkeys(name for result in results.values() for name in result.metrics):
        found = [result.metrics[name] for result in results.values() if name in result.metrics]
        values = [metric.value for metric in found if metric.value is not None]
        if not values:
            continue
        mean = f"{sum(values) / len(values):.{DECIMALS.get(found[0].unit, 2)}f}"
        meaning = better.get(found[0].direction, "")
        rows.append((printable(name), mean, str(len(values)), found[0].unit, meaning))
    return aligned(rows, left={0, 3, 4})

"""`kdbench score`: score texts made elsewhere, or a stored run again, without generating."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.config import ScoreSettings
from kdbench.errors import InputError
from kdbench.measuring.forward_metrics import stored_values, values_file
from kdbench.measuring.measurement import Evaluation
from kdbench.measuring.scoring import origin, score_task, with_teacher_of
from kdbench.metrics import ForwardMetric, make_metrics, with_stored
from kdbench.protocol import Protocol, get_protocol
from kdbench.store.folder import RunFolder, run_id
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.store.samples import Samples, read_sample, sample_record
from kdbench.system.files import LinesFile
from kdbench.system.names import folder_name
from kdbench.task import Task, check_installed, load_tasks


@dataclass(frozen=True)
class ExternalProtocol(Protocol):
    """A protocol of which only the seeds are known; it compares with no measured protocol."""

    def as_dict(self) -> dict[str, Any]:
        """Return the name and the seeds."""
        return {"name": self.name, "seeds": list(self.seeds)}


def score(settings: ScoreSettings) -> Evaluation:
    """Score a file of samples, or score a stored run again.

    Raises:
        InputError: Samples are malformed, unknown, repeated or missing; the message names the line.
    """
    if (settings.samples is None) == (settings.run is None):
        raise InputError("give samples=FILE and task=NAME, or run=FOLDER")
    if settings.run is not None:
        return _score_run(settings, settings.run)
    if settings.task is None:
        raise InputError("task= is missing; name the task that the samples answer")
    assert settings.samples is not None  # noqa: S101 - for the type checker
    return _score_file(settings, settings.samples, settings.task)


def _score_file(settings: ScoreSettings, path: Path, task_name: str) -> Evaluation:
    (task,) = load_tasks([task_name], settings.data, settings.limit, settings.run_code)
    _check_generates(task)
    samples = _read(path, task)
    protocol = _protocol(settings, tuple(sorted({seed for _, seed in samples})))
    metrics = [m for m in make_metrics(settings.metric_names()) if not isinstance(m, ForwardMetric)]
    name = settings.name or _name_of(path)
    texts = {"backend": "external", "limit": settings.limit, "protocol": protocol.as_dict()}
    run = RunFolder(settings.results / name / run_id(protocol.name, texts))
    _check_same_texts(run, task.name, samples)
    stored = run.read_task(task.name)
    if stored:
        metrics = with_stored(metrics, stored.metrics)
    result, scores = score_task(task, protocol, samples, metrics, {})
    record = RunRecord(run)
    with run.lock(task.name):
        identity = _identity(settings, name, protocol)
        record.begin(task.name, origin(task, protocol), identity)
        run.lines(task.name).replace(sample_record(samples[key], scores[key]) for key in scores)
        result = run.write_task(result)
    record.finish(method=settings.method, setting=settings.setting)
    return Evaluation(run.path, {task.name: result}, 0)


def _check_generates(task: Task) -> None:
    """Refuse a task that texts do not answer.

    Raises:
        InputError: It is scored by likelihood.
    """
    if not task.generates:
        raise InputError(
            f"task '{task.name}' is scored by likelihood ({task.output_type}), which needs the "
            "model: use kdbench eval"
        )


def _name_of(samples: Path) -> str:
    """The name of a file of samples, if it can name a folder of results."""
    try:
        return folder_name(samples.stem)
    except InputError as error:
        raise InputError(f"samples={samples}: '{samples.stem}' {error}; give name=NAME") from None


def _identity(settings: ScoreSettings, name: str, protocol: Protocol) -> dict[str, Any]:
    return {
        "model": {
            "name": name,
            "revision": None,
            "sha256": None,
            "parameters": None,
            "dtype": None,
        },
        "method": settings.method,
        "setting": settings.setting,
        "protocol": protocol.as_dict(),
        "limit": settings.limit,
        "backend": {"name": "external", "batch_size": None},
    }


def _check_same_texts(run: RunFolder, task: str, samples: Samples) -> None:
    """Check that the samples repeat the texts stored under this name."""
    for number, record in enumerate(run.lines(task).read(), start=1):
        stored = read_sample(record, f"{run.lines(task).path}:{number}")
        new = samples.get((stored.document, stored.seed))
        if new is not None and new.output != stored.output:
            raise InputError(
                f"{run.path}: holds a different text for document '{stored.document}' of '{task}'; "
                "pass name=… to keep both, or delete the folder"
            )


def _score_run(settings: ScoreSettings, path: Path) -> Evaluation:
    run = RunFolder(path)
    stored_run = run.read_whole_run()
    protocol = _stored_protocol(path, stored_run["protocol"])
    names = [settings.task] if settings.task else list(stored_run["tasks"])
    if not settings.task:
        check_installed(names, f"{path / 'run.json'}", "task=PATH")
    results = {
        task.name: _score_again(settings, run, task, protocol)
        for task in load_tasks(names, settings.data, stored_run["limit"], settings.run_code)
    }
    return Evaluation(path, results, 0)


def _stored_protocol(path: Path, stored: Mapping[str, Any]) -> Protocol:
    try:
        fields = {**stored, "seeds": tuple(stored["seeds"])}
        return (ExternalProtocol if len(fields) == 2 else Protocol)(**fields)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path / 'run.json'}: not the record of a run: protocol: {error}"
        ) from None


def _score_again(
    settings: ScoreSettings, run: RunFolder, task: Task, protocol: Protocol
) -> TaskResult:
    _check_generates(task)
    record = RunRecord(run)
    record.check_same_texts(task.name, origin(task, protocol))
    file = run.lines(task.name)
    if not file.path.exists():
        raise InputError(f"{file.path}: there are no samples to score again")
    samples = _read(file.path, task)
    stored = run.read_task(task.name)
    metrics = with_stored(make_metrics(settings.metric_names()), stored.metrics if stored else ())
    forward = {
        metric.name: stored_values(values_file(run, task.name, metric))
        for metric in metrics
        if isinstance(metric, ForwardMetric)
    }
    # A metric that needs the model and has no stored values is left to `kdbench eval`.
    metrics = [m for m in metrics if not isinstance(m, ForwardMetric) or forward[m.name]]
    cut = record.task(task.name).get("cut_prompts")
    with run.lock(task.name):
        result, scores = score_task(task, protocol, samples, metrics, forward, cut)
        result = with_teacher_of(result, stored)
        record.rescore(task.name, origin(task, protocol))
        file.replace(sample_record(samples[key], scores[key]) for key in scores)
        return run.write_task(result)


def _read(path: Path, task: Task) -> Samples:
    """Read the samples of a task, and check that each names a document and comes once."""
    if not path.is_file():
        raise InputError(f"samples={path}: no such file")
    known = {document.id for document in task.documents}
    samples: Samples = {}
    for number, record in enumerate(LinesFile(path).read(whole=True), start=1):
        place = f"{path}:{number}"
        sample = read_sample(record, place)
        key = (sample.document, sample.seed)
        if sample.document not in known:
            raise InputError(f"{place}: task '{task.name}' has no document '{sample.document}'")
        if key in samples:
            raise InputError(f"{place}: document '{key[0]}' has two samples of seed {key[1]}")
        samples[key] = sample
    if not samples:
        raise InputError(f"{path}: has no samples; it needs one JSON object per line")
    return samples


def _protocol(settings: ScoreSettings, seeds: tuple[int, ...]) -> Protocol:
    overrides = settings.protocol_overrides()
    if settings.protocol != "external":
        return get_protocol(settings.protocol, {"seeds": seeds, **overrides})
    if overrides:
        raise InputError(f"{next(iter(overrides))}= needs a named protocol, as in protocol=minillm")
    return ExternalProtocol("external", seeds=seeds)

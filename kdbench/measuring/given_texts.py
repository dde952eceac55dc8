"""`kdbench score`: texts that were made elsewhere, or a stored run, scored without generating."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.config import ScoreSettings
from kdbench.errors import InputError
from kdbench.generate import Sample
from kdbench.measuring.measurement import Evaluation
from kdbench.measuring.scoring import fingerprint, score_task, with_teacher_of
from kdbench.metrics import ForwardMetric, make_metrics, with_stored
from kdbench.protocol import Protocol, get_protocol
from kdbench.store.folder import RunFolder, run_id
from kdbench.store.record import RunRecord
from kdbench.store.samples import read_sample, sample_record
from kdbench.system.files import LinesFile
from kdbench.task import load_tasks

Samples = dict[tuple[str, int], Sample]


@dataclass(frozen=True)
class ExternalProtocol(Protocol):
    """Nothing is known of it but the seeds; it compares with no measured protocol."""

    def as_dict(self) -> dict[str, Any]:
        """Name and seeds."""
        return {"name": self.name, "seeds": list(self.seeds)}


def score(settings: ScoreSettings) -> Evaluation:
    """Score a file of samples, or a stored run again.

    Raises:
        InputError: samples that are malformed, unknown, repeated or missing; see the line.
    """
    if (settings.samples is None) == (settings.run is None):
        raise InputError("give samples=FILE and task=NAME, or run=FOLDER")
    if settings.run is not None:
        return _score_run(settings, settings.run)
    if settings.task is None:
        raise InputError("task= is missing: which task do the samples answer?")
    assert settings.samples is not None  # noqa: S101 - for the type checker
    return _score_file(settings, settings.samples, settings.task)


def _score_file(settings: ScoreSettings, path: Path, task_name: str) -> Evaluation:
    (task,) = load_tasks([task_name], settings.data, settings.limit)
    samples = _read(path, {document.id for document in task.documents}, task.name)
    protocol = _protocol(settings, tuple(sorted({seed for _, seed in samples})))
    metrics = [one for one in make_metrics(settings.metrics) if not isinstance(one, ForwardMetric)]
    name = settings.name or path.stem
    texts = {"backend": "external", "limit": settings.limit, "protocol": protocol.as_dict()}
    run = RunFolder(settings.results / name / run_id(protocol.name, texts))
    _check_same_texts(run, task.name, samples)
    old = run.read_task(task.name)
    if old:
        metrics = with_stored(metrics, old.metrics)
    result, scores = score_task(task, protocol, samples, metrics, {})
    identity = {
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
    record = RunRecord(run, identity)
    with run.lock(task.name):
        record.begin(task.name, fingerprint(task, protocol))
        run.lines(task.name).replace(sample_record(samples[key], scores[key]) for key in scores)
        result = run.write_task(result)
    record.finish(method=settings.method, setting=settings.setting)
    return Evaluation(run.path, {task.name: result}, 0)


def _check_same_texts(run: RunFolder, task: str, samples: Samples) -> None:
    """One name holds one text for each prompt, of however many tasks."""
    for number, record in enumerate(run.lines(task).read(), start=1):
        old = read_sample(record, f"{run.lines(task).path}:{number}")
        new = samples.get((old.document, old.seed))
        if new is not None and new.output != old.output:
            raise InputError(
                f"{run.path}: holds another text for document '{old.document}' of '{task}'; pass "
                "name=… to keep both, or delete the folder"
            )


def _score_run(settings: ScoreSettings, path: Path) -> Evaluation:
    run = RunFolder(path)
    stored = run.read_whole_run()
    fields = {**stored["protocol"], "seeds": tuple(stored["protocol"]["seeds"])}
    protocol = (ExternalProtocol if len(fields) == 2 else Protocol)(**fields)
    names = [settings.task] if settings.task else list(stored["tasks"])
    record = RunRecord(run, {})
    results = {}
    for task in load_tasks(names, settings.data, stored["limit"]):
        record.check_same_texts(task.name, fingerprint(task, protocol))
        file = run.lines(task.name)
        if not file.path.exists():
            raise InputError(f"{file.path}: no samples here to score again")
        samples = _read(file.path, {document.id for document in task.documents}, task.name)
        old = run.read_task(task.name)
        metrics = with_stored(make_metrics(settings.metrics), old.metrics if old else ())
        forward = {one.name: _values(run, task.name, one) for one in metrics}
        # What needs the model and was not measured is left to `kdbench eval`.
        metrics = [m for m in metrics if forward[m.name] or not isinstance(m, ForwardMetric)]
        cut = record.task(task.name).get("cut_prompts")
        with run.lock(task.name):
            result, scores = score_task(task, protocol, samples, metrics, forward, cut)
            result = with_teacher_of(result, old)
            file.replace(sample_record(samples[key], scores[key]) for key in scores)
            results[task.name] = run.write_task(result)
    return Evaluation(path, results, 0)


def _values(run: RunFolder, task: str, metric: Any) -> dict[str, float]:
    lines = run.lines(f"{task}.{metric.name}-v{metric.version}").read()
    return {line["id"]: line["value"] for line in lines}


def _read(path: Path, known: set[str], task: str) -> Samples:
    if not path.is_file():
        raise InputError(f"samples={path}: no such file")
    samples: Samples = {}
    for number, record in enumerate(LinesFile(path).read(whole=True), start=1):
        place = f"{path}:{number}"
        sample = read_sample(record, place)
        key = (sample.document, sample.seed)
        if sample.document not in known:
            raise InputError(f"{place}: task '{task}' has no document '{sample.document}'")
        if key in samples:
            raise InputError(f"{place}: document '{key[0]}' has two samples of seed {key[1]}")
        samples[key] = sample
    if not samples:
        raise InputError(f"{path}: no samples in it; it needs one JSON object a line")
    return samples


def _protocol(settings: ScoreSettings, seeds: tuple[int, ...]) -> Protocol:
    overrides = settings.protocol_overrides()
    if settings.protocol != "external":
        return get_protocol(settings.protocol, {"seeds": seeds, **overrides})
    if overrides:
        raise InputError(f"{next(iter(overrides))}= needs a named protocol, as in protocol=minillm")
    return ExternalProtocol("external", seeds=seeds)

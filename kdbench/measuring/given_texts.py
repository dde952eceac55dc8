"""`kdbench score`: score texts made elsewhere, or a stored run again, without generating."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.config import ScoreSettings, given_facts
from kdbench.config.command import command_words
from kdbench.errors import InputError, nearest_path
from kdbench.generate import Sample
from kdbench.measuring.asked import asked
from kdbench.measuring.dry_run import data_fact, document_facts
from kdbench.measuring.forward_metrics import stored_values, values_file
from kdbench.measuring.judged import with_judge_of
from kdbench.measuring.kept import with_teacher_of
from kdbench.measuring.measurement import Evaluation
from kdbench.measuring.rethinking import changed_protocol, copied_run
from kdbench.measuring.scoring import check_complete, origin, score_task
from kdbench.measuring.stored_protocol import ExternalProtocol, stored_protocol
from kdbench.measuring.thinking import sample_splitter
from kdbench.metrics import ModelMetric, make_metrics, with_stored
from kdbench.protocol import Protocol, get_protocol
from kdbench.registry.plugins import recorded
from kdbench.store.folder import RunFolder, run_id
from kdbench.store.packed_folder import run_with_samples
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.store.runs import one_run
from kdbench.store.sample_index import StoredSamples
from kdbench.store.samples import Samples, read_sample, sample_record
from kdbench.system.files import LinesFile
from kdbench.system.names import folder_name
from kdbench.system.outline import Fact, Section, excerpt
from kdbench.task import Task, check_installed, check_tasks, load_tasks
from kdbench.views.chat import plain_text

_SHOWN = 2  # prompts of each task


def score(settings: ScoreSettings) -> Evaluation:
    """Score a file of samples, or score a stored run again.

    Raises:
        InputError: Samples are malformed, unknown, repeated or missing; the message names the line.
    """
    if settings.run is not None and settings.samples is None:
        return _score_run(settings, one_run(settings.run, "run", settings.results))
    return _score_file(settings, *_file_and_task(settings))


def plan_scoring(settings: ScoreSettings) -> list[Section]:
    """What `score` would do: samples are read and checked, nothing is scored or written.

    Raises:
        InputError: As for `score`.
    """
    metrics = make_metrics(settings.metric_names())
    names = [metric.name for metric in metrics if not isinstance(metric, ModelMetric)]
    facts = (*given_facts(settings), Fact("metrics", " ".join(names)))
    sections = [Section("kdbench score: a dry run, which writes nothing", facts)]
    if settings.run is None or settings.samples is not None:
        texts = _read_file(settings, *_file_and_task(settings))
        make_metrics(settings.metric_names(), len(texts.protocol.seeds))
        return [*sections, _outline(texts.run, texts.task, texts.protocol, texts.samples)]
    run = run_with_samples(one_run(settings.run, "run", settings.results), "run")
    tasks, protocol = _stored_tasks(settings, run)
    make_metrics(settings.metric_names(), len(protocol.seeds))
    return [
        *sections,
        *(_outline(run, t, protocol, _stored_texts(run, t, protocol)) for t in tasks),
    ]


def _outline(run: RunFolder, task: Task, protocol: Protocol, samples: Samples) -> Section:
    """The section of a task: its samples, and the first prompts with their first answers."""
    check_complete(task, protocol.seeds, samples)
    facts = [data_fact(task)]
    seeds = ",".join(map(str, protocol.seeds))
    facts.append(Fact("samples", f"{len(samples)} to score, seeds {seeds}"))
    facts += [Fact("protocol", protocol.name), Fact("results", str(run.path))]
    for number, document in enumerate(task.documents[:_SHOWN], start=1):
        text = document.prompt or plain_text(document.conversation)
        answer = samples[document.id, protocol.seeds[0]].output
        facts.append(Fact(f"prompt {number}", f"document {document.id}"))
        facts.append(Fact("text", excerpt(text), is_text=True))
        facts.append(Fact(f"answer, seed {protocol.seeds[0]}", excerpt(answer), is_text=True))
        facts += document_facts(document)
    return Section(task.name, tuple(facts))


def _file_and_task(settings: ScoreSettings) -> tuple[Path, str]:
    """The file of samples and the task that they answer.

    Raises:
        InputError: One of them is missing, or `run=` is given as well.
    """
    if settings.samples is None or settings.run is not None:
        raise InputError("give samples=FILE and task=NAME, or run=FOLDER")
    if settings.task is None:
        raise InputError("task= is missing; name the task that the samples answer")
    return settings.samples, settings.task


@dataclass(frozen=True)
class _GivenTexts:
    """A file of samples, read and checked.

    Attributes:
        task: Task that they answer.
        samples: Samples by document and seed.
        protocol: Protocol that they were made with.
        name: Name of the model in results.
        run: Folder of the run.
    """

    task: Task
    samples: Samples
    protocol: Protocol
    name: str
    run: RunFolder


def _read_file(settings: ScoreSettings, path: Path, task_name: str) -> _GivenTexts:
    if not path.is_file():
        raise InputError(f"samples={path}: no such file{nearest_path(path)}")
    make_metrics(settings.metric_names())
    any_seed = _protocol(settings, (0,))  # the seeds are those of the samples
    name = settings.name or _name_of(path)
    check_tasks([task_name], settings.data)
    (task,) = load_tasks([task_name], settings.data, settings.limit, settings.run_code)
    _check_generates(task)
    samples = _read(path, task, sample_splitter(any_seed.thinking, any_seed.thinking_marks))
    protocol = _protocol(settings, tuple(samples.seeds))
    texts = {"backend": "external", "limit": settings.limit, "protocol": protocol.as_dict()}
    run = RunFolder(settings.results / name / run_id(protocol.name, texts))
    _check_same_texts(run, task.name, samples)
    return _GivenTexts(task, samples, protocol, name, run)


def _score_file(settings: ScoreSettings, path: Path, task_name: str) -> Evaluation:
    given = _read_file(settings, path, task_name)
    task, samples, protocol, run = given.task, given.samples, given.protocol, given.run
    metrics = make_metrics(settings.metric_names(), len(protocol.seeds))
    metrics = [metric for metric in metrics if not isinstance(metric, ModelMetric)]
    stored = run.read_task(task.name)
    if stored:
        metrics = with_stored(metrics, stored.metrics)
    result, scores = score_task(task, protocol, samples, metrics, {})
    record = RunRecord(run)
    with run.lock(task.name):
        identity = _identity(settings, given.name, protocol)
        record.begin(task.name, origin(task, protocol), identity)
        run.write_prompts(task.name, asked(task, protocol, None))
        run.lines(task.name).replace(sample_record(samples[key], scores[key]) for key in scores)
        result = run.write_task(with_judge_of(result, stored))
    command = command_words("score", settings)
    record.finish([command], method=settings.method, setting=settings.setting)
    record.add_plugins(recorded(settings.plugins))
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
        "commands": [],
        "backend": {"name": "external", "batch_size": None},
    }


def _check_same_texts(run: RunFolder, task: str, samples: Samples) -> None:
    """Check that the samples repeat the texts stored under this name."""
    for number, record in enumerate(run.lines(task).stream(), start=1):
        stored = read_sample(record, f"{run.lines(task).path}:{number}")
        new = samples.get((stored.document, stored.seed))
        if new is not None and new.output != stored.output:
            raise InputError(
                f"{run.path}: holds a different text for document '{stored.document}' of '{task}'; "
                "pass name=… to keep both, or delete the folder"
            )


def _score_run(settings: ScoreSettings, path: Path) -> Evaluation:
    run = run_with_samples(path, "run")
    tasks, protocol = _stored_tasks(settings, run)
    before = {task.name: run.read_task(task.name) for task in tasks}
    changed = changed_protocol(protocol, settings.thinking, settings.thinking_marks)
    if changed != protocol:
        run = copied_run(run, tasks, (protocol, changed), settings.thinking_marks)
    results = {
        task.name: _score_again(settings, run, task, changed, before[task.name]) for task in tasks
    }
    if changed != protocol:
        RunRecord(run).finish()
    RunRecord(run).add_plugins(recorded(settings.plugins))
    return Evaluation(run.path, results, 0)


def _stored_tasks(settings: ScoreSettings, run: RunFolder) -> tuple[list[Task], Protocol]:
    """The tasks of a stored run to score again, those with responses, and its protocol."""
    stored_run = run.read_whole_run()
    make_metrics(settings.metric_names())
    protocol = stored_protocol(run.path, stored_run["protocol"])
    names = [settings.task] if settings.task else list(stored_run["tasks"])
    if not settings.task:
        check_installed(names, f"{run.path / 'run.json'}", "task=PATH")
    check_tasks(names, settings.data)
    tasks = load_tasks(names, settings.data, stored_run["limit"], settings.run_code)
    answered = [task for task in tasks if task.generates]
    if not answered:
        _check_generates(tasks[0])
    return answered, protocol


def _score_again(
    settings: ScoreSettings,
    run: RunFolder,
    task: Task,
    protocol: Protocol,
    before: TaskResult | None,
) -> TaskResult:
    record, file = RunRecord(run), run.lines(task.name)
    samples = _stored_texts(run, task, protocol)
    stored = run.read_task(task.name)
    earlier = stored or before
    wanted = make_metrics(settings.metric_names(), len(protocol.seeds))
    metrics = with_stored(wanted, earlier.metrics if earlier else ())
    forward = {
        metric.name: stored_values(values_file(run, task.name, metric))
        for metric in metrics
        if isinstance(metric, ModelMetric)
    }
    # A metric that needs the model and has no stored values is left to `kdbench eval`.
    kept = {name for name, values in forward.items() if values or not task.has_references}
    metrics = [m for m in metrics if not isinstance(m, ModelMetric) or m.name in kept]
    cut = record.task(task.name).get("cut_prompts")
    with run.lock(task.name):
        result, scores = score_task(task, protocol, samples, metrics, forward, cut)
        result = with_judge_of(with_teacher_of(result, stored), stored)
        record.rescore(task.name, origin(task, protocol))
        file.replace(sample_record(samples[key], scores[key]) for key in scores)
        return run.write_task(result)


def _stored_texts(run: RunFolder, task: Task, protocol: Protocol) -> Samples:
    """The stored samples of a task, which must answer the prompts of today."""
    RunRecord(run).check_same_texts(task.name, origin(task, protocol))
    file = run.lines(task.name)
    if not file.path.exists():
        raise InputError(f"{file.path}: there are no samples to score again")
    return _read(file.path, task)


def _read(
    path: Path, task: Task, change: Callable[[Sample], Sample] | None = None
) -> StoredSamples:
    """Find the samples of a task, and check that each names a document and comes once."""
    samples = StoredSamples((document.id for document in task.documents), change)
    samples.add_given(LinesFile(path), task.name)
    if not samples:
        raise InputError(f"{path}: has no samples; it needs one JSON object per line")
    return samples


def _protocol(settings: ScoreSettings, seeds: tuple[int, ...]) -> Protocol:
    overrides = settings.protocol_overrides()
    if settings.protocol != "external":
        return get_protocol(settings.protocol, {"seeds": seeds, **overrides})
    for key in overrides:
        if key not in ("thinking", "thinking_marks"):
            raise InputError(f"{key}= needs a named protocol, as in protocol=minillm")
    return ExternalProtocol("external", seeds=seeds).override(overrides)

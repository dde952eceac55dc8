"""A checkpoint, its tasks and seeds become results.

Missing samples are generated, missing metrics are measured, and the task is scored. Each step reads
what is on disk first, so the same command resumes after a crash and does nothing when finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.checkpoint import Checkpoint, find_checkpoint, load_tokenizer, served_model
from kdbench.config import EvalSettings
from kdbench.generate import Backend, Options, Prompt
from kdbench.generate.choice import BackendChoice, choose_backend
from kdbench.generate.prompts import check_has_prompt
from kdbench.measuring.advice import template_advice
from kdbench.measuring.forward_metrics import measure_forward
from kdbench.measuring.given_card import read_given_card, with_given_card
from kdbench.measuring.groups import group_result, groups_of_tasks
from kdbench.measuring.identity import checked_name, commands_of, labels_of, run_identity
from kdbench.measuring.judged import with_judge_of, without_judge
from kdbench.measuring.kept import same_scores, with_teacher_of, without_teacher
from kdbench.measuring.likelihood.answers import OptionAnswers
from kdbench.measuring.likelihood.measuring import OptionMeasuring, options_name
from kdbench.measuring.loading import LazyBackend
from kdbench.measuring.quantised import check_quantised, default_name
from kdbench.measuring.sampling import Sampling
from kdbench.measuring.sampling_metrics import measure_sampling
from kdbench.measuring.scoring import fingerprint, origin, score_task
from kdbench.metrics import (
    ForwardMetric,
    Metric,
    ModelMetric,
    SamplingMetric,
    make_metrics,
    with_stored,
)
from kdbench.protocol import Protocol, get_protocol
from kdbench.registry.plugins import recorded
from kdbench.store.folder import RunFolder, generated_run_id
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.store.samples import Samples, sample_record
from kdbench.store.shown import ShownRun
from kdbench.system.console import note_once, report_progress
from kdbench.system.progress import slow_step
from kdbench.system.remote.hooks import fetch
from kdbench.task import Task, load_tasks

_FALLBACK_METRIC = "rougeL"  # if only metrics of fidelity are requested


def prepare(
    settings: EvalSettings,
    key: str = "model",
    tasks: Sequence[Task] | None = None,
    wait: bool = False,
) -> "Measurement":
    """Find the checkpoint, load the tasks and return a measurement that has not begun.

    Args:
        settings: What to measure, and how.
        key: Setting that names the checkpoint, for error messages.
        tasks: Tasks of the settings, if they are loaded already.
        wait: Whether to wait for another process that works on the same run.

    Raises:
        InputError: Model, data, tasks or settings have a fault that the user can fix.
    """
    if settings.card is not None:  # its faults are reported before weights are hashed
        read_given_card(settings.card)
    protocol = get_protocol(settings.protocol, settings.protocol_overrides())
    names, responses = settings.metric_names(), len(protocol.seeds)
    metrics = make_metrics(names, responses) or make_metrics([_FALLBACK_METRIC])
    chosen = choose_backend(settings.backend, settings.backend_options)
    if tasks is None:
        tasks = load_tasks(settings.tasks, settings.data, settings.limit, settings.run_code)
    if protocol.prompt == "task":
        for document in (d for task in tasks if task.generates for d in task.documents):
            check_has_prompt(document.prompt, document.message)
    if chosen.is_served:
        checkpoint = served_model(settings.model, chosen.identity)
    else:
        checkpoint = find_checkpoint(
            settings.model,
            settings.revision,
            settings.unsafe_pickle,
            key,
            settings.trust_remote_code,
        )
    if settings.backend == "hf":  # an engine reads formats of its own
        check_quantised(checkpoint, settings, key)
    checkpoint = with_given_card(checkpoint, settings.card)
    return Measurement(settings, protocol, checkpoint, chosen, tasks, metrics, wait)


class Measurement:
    """What is measured of a checkpoint, and the results so far.

    Args:
        settings: What to measure, and how.
        protocol: Protocol of the settings.
        checkpoint: Checkpoint to measure.
        chosen: Backend of the settings.
        tasks: Tasks of the settings.
        metrics: Metrics to measure.
        wait: Whether to wait for another process that works on the same run.

    Attributes:
        name: Name of the model in results and tables.
        run: Folder of the run.
        record: The run's `run.json`.
        results: Results by task, without tasks that wait for other shards.
        groups: Results of groups whose tasks are all measured.
        repaired: Tasks of which a damaged file was repaired.
        encodes_plainly: Whether the checkpoint's tokenizer alone decides the tokens of a prompt.
        waits: Whether scoring waits for another process; shards always do.
    """

    def __init__(
        self,
        settings: EvalSettings,
        protocol: Protocol,
        checkpoint: Checkpoint,
        chosen: BackendChoice,
        tasks: Sequence[Task],
        metrics: Sequence[Metric],
        wait: bool = False,
    ):
        self.settings, self.protocol, self.checkpoint = settings, protocol, checkpoint
        self.chosen, self.tasks, self._metrics = chosen, tasks, metrics
        self.name = settings.name or checked_name(default_name(checkpoint, settings.quantization))
        self.encodes_plainly = chosen.kind.encodes_plainly and checkpoint.served is None
        self.waits = wait or settings.shard is not None
        self.results: dict[str, TaskResult] = {}
        self.groups: dict[str, TaskResult] = {}
        self.repaired: set[str] = set()
        folder = generated_run_id(
            checkpoint.sha256,
            protocol.as_dict(),
            settings.limit,
            settings.precision,
            chosen.identity,
        )
        self.run = RunFolder(settings.results / self.name / folder)
        fetch(self.run.path)
        self.record = RunRecord(self.run)
        only_tokenizer = partial(load_tokenizer, checkpoint, settings.trust_remote_code)
        self._backend = LazyBackend(self._load, only_tokenizer if self.encodes_plainly else None)
        identity = partial(run_identity, settings, self.name, checkpoint, protocol, chosen)
        self._sampling = Sampling(
            self.run,
            protocol,
            self._backend,
            chosen.own_engine,
            identity,
            settings.shard,
            wait,
        )
        self._options = OptionMeasuring(
            self.run, protocol, self._backend, identity, settings.shard, wait
        )

    @property
    def sampling(self) -> Sampling:
        """The samples, stored and missing."""
        return self._sampling

    @property
    def option_measuring(self) -> OptionMeasuring:
        """The options of tasks that are scored by likelihood, stored and missing."""
        return self._options

    @property
    def generated(self) -> int:
        """Number of samples that this call generated, and of documents with options it measured."""
        return self._sampling.generated + self._options.measured

    @property
    def backend(self) -> Backend:
        """The backend, loaded when it is first needed."""
        return self._backend.get()

    def measure(self) -> "Measurement":
        """Generate and measure what is missing of all tasks.

        Raises:
            InputError: Model, data, tasks or settings have a fault that the user can fix.
        """
        try:
            if self.chosen.own_engine:
                self._generate_all()
            for task in self.tasks:
                self.finish(task)
        except BaseException:
            # Bad input does not spoil a run that another call made.
            if self._sampling.begun or self._options.measured:
                self.record.note(status="failed")
            raise
        self._average_groups()
        card = self.checkpoint.card
        self.record.finish(commands_of(self.settings, card), **labels_of(self.settings, card))
        self.record.add_plugins(recorded(self.settings.plugins))
        return self

    def _average_groups(self) -> None:
        for group in groups_of_tasks(self.tasks):
            result = group_result(group, self.results)
            if result is not None:
                self.groups[group.name] = self.run.write_group(result)

    def is_finished(self) -> bool:
        """Whether every task has a result."""
        return all(self.run.read_task(task.name) is not None for task in self.tasks)

    def finish(self, task: Task) -> bool:
        """Measure what is missing of a task; return False while other shards are incomplete."""
        result = self._finish_answers(task) if task.generates else self._options.finish(task)
        if result is not None:
            self.results[task.name] = result
        return result is not None

    def _finish_answers(self, task: Task) -> TaskResult | None:
        """Generate and score what is missing; return None while other shards are incomplete."""
        missing = self._missing_metrics(task) or self._damaged_metrics(task)
        self._sampling.repair_prompts(task)
        if missing:
            self._sampling.complete(task)
            with self.run.lock(task.name, wait=self.waits):
                result = self._score(task, missing)
                self._sampling.repair_prompts(task, may_be_absent=result is None)
            return result
        return self.run.read_task(task.name)

    def restore_samples(self, task: Task) -> None:
        """Generate the samples of a finished task again if there are none.

        Results are often kept without samples. Numbers that the new samples do not confirm are
        replaced, and a comparison with a teacher that stands on other samples is removed.
        """
        old = self.run.read_task(task.name)
        if old is None or not self._sampling.is_incomplete(task):
            return
        report_progress(f"{task.name}: {self.name} has results but no samples; generating them")
        self._sampling.complete(task)
        with self.run.lock(task.name, wait=self.waits):
            new = self._score(task, with_stored(self._metrics, old.metrics))
            if new is not None and not same_scores(old, new):
                report_progress(f"{task.name}: the samples of {self.name} give other results")
                new = self.run.write_task(without_judge(without_teacher(new)))
        if new is not None:
            self.results[task.name] = new

    def release(self) -> None:
        """Free the model's memory; the model loads again when it is needed."""
        self._backend.release()

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """Return the encoded prompts of a task by document."""
        return self._backend.prompts(task)

    def samples(self, task: Task) -> Samples:
        """Return the samples of a task by document and seed, generated again if they are gone."""
        self.restore_samples(task)
        return dict(self._sampling.stored(task))  # they are read many times

    def options(self, task: Task) -> OptionAnswers:
        """Return what the model says about the options of a task, asked again if they are gone."""
        return self._options.restored(task)

    def sample_files(self) -> list[Path]:
        """Return the files of samples of the tasks that have a result."""
        generated = {task.name: task.generates for task in self.tasks}
        return [
            self.run.lines(name if generated.get(name, True) else options_name(name)).path
            for name in self.results
        ]

    def _load(self) -> Backend:
        settings = self.settings
        stored_size = self.record.batch_size()
        options = Options(
            dtype=settings.dtype,
            device=settings.device,
            batch_size=stored_size if settings.batch_size == "auto" else settings.batch_size,
            trust_remote_code=settings.trust_remote_code,
            argument=self.chosen.argument,
            engine=self.chosen.engine,
            quantisation=settings.quantization,
        )
        with slow_step(f"loading {self.checkpoint.name}"):
            backend = self.chosen.kind(self.checkpoint, self.protocol, options)
        self.note_unused_template(backend.tokenizer)
        return backend

    def note_unused_template(self, tokenizer: Any) -> None:
        """Note on stderr, once, a chat template that the protocol does not use."""
        template = getattr(tokenizer, "chat_template", None)
        if advice := template_advice(self.checkpoint.card, template, self.protocol):
            note_once(advice)

    def _generate_all(self) -> None:
        """Generate the samples of all tasks with one engine, and stop it."""
        try:
            for task in self.tasks:
                if task.generates and self._missing_metrics(task):
                    self._sampling.complete(task)
        finally:
            self._backend.stop()

    def _missing_metrics(self, task: Task) -> Sequence[Metric]:
        """Return nothing if the stored result has all metrics, else these and the stored ones."""
        stored = self.run.read_task(task.name)
        if stored is None:
            return self._metrics
        now = fingerprint(task, self.protocol)
        if stored.fingerprint == now:
            if all(metric.is_current(stored.metrics) for metric in self._metrics):
                return ()
            return with_stored(self._metrics, stored.metrics)
        # Another scoring of the same texts keeps the metrics that the result has.
        rescored = {**stored.fingerprint, "definition_sha256": now.get("definition_sha256")}
        return with_stored(self._metrics, stored.metrics) if rescored == now else self._metrics

    def _damaged_metrics(self, task: Task) -> Sequence[Metric]:
        """Repair the files of a finished task; return the metrics to compute again."""
        damaged = self.run.damaged_files(task.name)
        if damaged:
            self.repaired.add(task.name)
            with self.run.lock(task.name, wait=self.waits):
                for file in damaged:
                    if file.is_damaged():  # and was not just being written
                        file.repair()
        lines = self.run.lines(task.name)
        gone = lines.path.exists() and self._sampling.is_incomplete(task)
        stored = self.run.read_task(task.name)
        if not (damaged or gone) or stored is None:
            return ()
        report_progress(f"{task.name}: damaged files of samples or values were repaired")
        return with_stored(self._metrics, stored.metrics)

    def _score(self, task: Task, metrics: Sequence[Metric]) -> TaskResult | None:
        """Score and store a task; return None while samples of other shards are missing."""
        samples = self._sampling.stored(task)
        if len(samples) < len(task.documents) * len(self.protocol.seeds):
            return None
        forward = {
            metric.name: self._of_model(metric, task, samples)
            for metric in metrics
            if isinstance(metric, ModelMetric)
        }
        cut = self.record.task(task.name).get("cut_prompts")
        result, scores = score_task(task, self.protocol, samples, metrics, forward, cut)
        old = self.run.read_task(task.name)
        result = with_judge_of(with_teacher_of(result, old), old)
        self.record.rescore(task.name, origin(task, self.protocol))
        self.run.lines(task.name).replace(
            sample_record(samples[key], scores[key]) for key in scores
        )
        for shard in self.run.shard_files(task.name):
            shard.path.unlink()
        return self.run.write_task(result)

    def _of_model(self, metric: ModelMetric, task: Task, samples: Samples) -> dict[str, float]:
        """The values of a metric that needs the model, by document."""
        if isinstance(metric, SamplingMetric):
            return measure_sampling(metric, task, self.run, self._backend, self.protocol, samples)
        if isinstance(metric, ForwardMetric):
            limit = self.protocol.max_new_tokens
            return measure_forward(metric, task, self.run, self._backend, limit)
        return {}


@dataclass(frozen=True, repr=False)
class Evaluation(ShownRun):
    """The outcome of `evaluate` and `score`.

    Attributes:
        run: Folder of the run.
        results: Results by task, without tasks that wait for other shards.
        generated: Number of samples that this call generated.
        groups: Results of groups of lm-eval whose tasks are all measured.
    """

    run: Path
    results: Mapping[str, TaskResult]
    generated: int = field(compare=False)
    groups: Mapping[str, TaskResult] = field(default_factory=dict)

"""A checkpoint × tasks × seeds → results.

Generate what is missing, measure what is missing, score. Each step reads what is on disk first, so
the same command goes on after a crash, and does nothing when all is there.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kdbench.checkpoint import Checkpoint, find_checkpoint, served_model
from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.generate import Backend, Facts, Options, Prompt, Row, Sample
from kdbench.generate.choice import choose_backend, facts_of
from kdbench.measuring.identity import run_identity
from kdbench.measuring.scoring import fingerprint, score_task, with_teacher_of
from kdbench.metrics import ForwardMetric, Metric, Reference, make_metrics, with_stored
from kdbench.protocol import Protocol, get_protocol
from kdbench.store.folder import RunFolder, generated_run_id
from kdbench.store.record import RunRecord
from kdbench.store.results import TaskResult
from kdbench.store.samples import read_sample, sample_record
from kdbench.system.progress import progress
from kdbench.task import Task, load_tasks

Samples = dict[tuple[str, int], Sample]

_AT_LEAST = "rougeL"  # where only metrics of fidelity are asked for


def prepare(
    settings: EvalSettings,
    key: str = "model",
    tasks: Sequence[Task] | None = None,
    wait: bool = False,
) -> "Measurement":
    """A measurement that has not begun: its checkpoint is found, its tasks are loaded.

    Args:
        settings: what to measure.
        key: the setting that named the checkpoint, for messages.
        tasks: those of the settings, if they are loaded already.
        wait: let another process at work on the run finish first.

    Raises:
        InputError: anything about model, data, tasks or settings that the user can mend.
    """
    protocol = get_protocol(settings.protocol, settings.protocol_overrides())
    metrics = make_metrics(settings.metrics) or make_metrics([_AT_LEAST])
    chosen = choose_backend(settings.backend, settings.backend_options)
    if tasks is None:
        tasks = load_tasks(settings.tasks, settings.data, settings.limit)
    if chosen.is_served:
        checkpoint = served_model(settings.model, chosen.identity)
    else:
        checkpoint = find_checkpoint(settings.model, settings.revision, settings.unsafe_pickle, key)
    return Measurement(settings, protocol, checkpoint, tasks, metrics, wait)


class Measurement:
    """A checkpoint to measure: the run's folder, and the backend once it is needed.

    Attributes:
        tasks: those asked for.
        results: by task; a task of which a shard is still to come is absent.
        generated: samples made by this call; 0 when all were there.
        run: the run's folder.
        waits: whether it lets other processes finish first; shards always do.
        chosen: the backend that generates.
    """

    def __init__(
        self,
        settings: EvalSettings,
        protocol: Protocol,
        checkpoint: Checkpoint,
        tasks: Sequence[Task],
        metrics: Sequence[Metric],
        wait: bool = False,
    ):
        self.settings, self.protocol, self.checkpoint = settings, protocol, checkpoint
        self.tasks, self._metrics = tasks, metrics
        self.results: dict[str, TaskResult] = {}
        self.generated = 0
        self.begun = False
        self.waits = wait or settings.shard is not None
        self._waits_to_generate = wait
        self.name = settings.name or checkpoint.name
        self.chosen = choose_backend(settings.backend, settings.backend_options)
        folder = generated_run_id(
            checkpoint.sha256,
            protocol.as_dict(),
            settings.limit,
            settings.dtype,
            self.chosen.identity,
        )
        self.run = RunFolder(settings.results / self.name / folder)

    def measure(self) -> "Measurement":
        """Measure what is missing of all tasks.

        Raises:
            InputError: anything about model, data, tasks or settings that the user can mend.
        """
        try:
            if self.chosen.own_engine:
                self._generate_all()
            for task in self.tasks:
                self.finish(task)
        except BaseException:
            if self.begun:  # a run that another call made is not spoiled by this one's bad input
                self.record.note(status="failed")
            raise
        self.record.finish(method=self.settings.method, setting=self.settings.setting)
        return self

    def finish(self, task: Task) -> bool:
        """Measure what is missing of a task; False while other shards have work to do."""
        result = self._measure(task, self._metrics)
        if result is not None:
            self.results[task.name] = result
        return result is not None

    def release(self) -> None:
        """Free the model's memory; it is loaded again if it is needed."""
        self._stop()
        vars(self).pop("backend", None)

    def _generate_all(self) -> None:
        """Make the samples of all tasks by one engine, and stop it."""
        try:
            for task in self.tasks:
                if self._missing_metrics(task, self._metrics):
                    self._make(task)
        finally:
            self._stop()

    def _stop(self) -> None:
        if self.chosen.own_engine and "backend" in vars(self):
            self.backend.stop()  # type: ignore[attr-defined]

    @cached_property
    def backend(self) -> Backend:
        """Loaded at the first missing sample; most repeats of a command never need it."""
        settings = self.settings
        recorded = RunRecord(self.run, {}).batch_size()
        options = Options(
            dtype=settings.dtype,
            device=settings.device,
            batch_size=recorded if settings.batch_size == "auto" else settings.batch_size,
            trust_remote_code=settings.trust_remote_code,
            argument=self.chosen.argument,
            engine=self.chosen.engine,
        )
        return self.chosen.kind(self.checkpoint, self.protocol, options)

    @cached_property
    def record(self) -> RunRecord:
        """What `run.json` says of this call."""
        facts = facts_of(self.backend) if "backend" in vars(self) else Facts()
        identity = run_identity(
            self.settings, self.name, self.checkpoint, self.protocol, self.chosen, facts
        )
        return RunRecord(self.run, identity)

    def _measure(self, task: Task, metrics: Sequence[Metric]) -> TaskResult | None:
        """The task's result; None while other shards have work to do."""
        missing = self._missing_metrics(task, metrics)
        if not missing:
            return self.run.read_task(task.name)
        self._make(task)
        with self.run.lock(task.name, wait=self.waits):
            return self._score(task, missing)

    def _missing_metrics(self, task: Task, metrics: Sequence[Metric]) -> Sequence[Metric]:
        """What there is to measure: nothing, or with what is asked for all that is stored."""
        stored = self.run.read_task(task.name)
        if stored and stored.fingerprint == fingerprint(task, self.protocol):
            if all(metric.is_current(stored.metrics) for metric in metrics):
                return ()
            return with_stored(metrics, stored.metrics)
        return metrics

    def _make(self, task: Task) -> None:
        """Make the samples that are missing."""
        if self._rows_missing(task):
            # Whatever is wrong with model or prompts shows here, before anything is written.
            self.prompts(task)
        part = f"{task.name}{self._shard_suffix}"
        with self.run.lock(part, wait=self._waits_to_generate):
            self._check_samples(task)
            if self._rows_missing(task):
                self._generate(task)

    def _score(self, task: Task, metrics: Sequence[Metric]) -> TaskResult | None:
        samples = self.samples(task)
        if len(samples) < len(task.documents) * len(self.protocol.seeds):
            return None  # the other shards'
        forward = {m.name: self._forward(task, m) for m in metrics if isinstance(m, ForwardMetric)}
        cut = self.record.task(task.name).get("cut_prompts")
        result, scores = score_task(task, self.protocol, samples, metrics, forward, cut)
        result = with_teacher_of(result, self.run.read_task(task.name))
        self.run.lines(task.name).replace(
            sample_record(samples[key], scores[key]) for key in scores
        )
        for shard in self.run.shard_files(task.name):
            shard.path.unlink()
        return self.run.write_task(result)

    def _check_samples(self, task: Task) -> None:
        self.record.check_same_texts(task.name, fingerprint(task, self.protocol))
        if not self.record.task(task.name) and self.samples(task):
            raise InputError(
                f"{self.run.path}: has samples of '{task.name}', but run.json does not say "
                "what they answer; delete the folder, or bring run.json back"
            )

    def _rows_missing(self, task: Task) -> bool:
        there = self.samples(task)
        documents = task.documents[self._shard_slice]
        return any((one.id, seed) not in there for one in documents for seed in self.protocol.seeds)

    def _generate(self, task: Task) -> None:
        prompts = self.prompts(task)
        done = set(self.samples(task))
        rows = [
            Row(one.id, seed, prompts[one.id].ids)
            for one in task.documents[self._shard_slice]
            for seed in self.protocol.seeds
        ]
        there = sum((row.document, row.seed) in done for row in rows)
        cut = sum(prompts[document.id].cut for document in task.documents)
        with (
            self.run.lines(f"{task.name}{self._shard_suffix}").appending() as file,
            progress(task.name, len(rows), there, "samples") as advance,
        ):
            for batch in self._unfinished(rows, done):
                start, made, tokens = time.monotonic(), 0, 0
                for sample in self.backend.generate(batch, task.until):
                    if (sample.document, sample.seed) in done:
                        continue
                    if not made:
                        self._note_begin(task, cut)
                    file.add(sample_record(sample))
                    advance()
                    made += 1
                    tokens += sample.n_tokens or 0
                file.sync()
                self.generated += made
                self.record.add_timing(task.name, made, tokens, time.monotonic() - start)

    def _unfinished(
        self, rows: Sequence[Row], done: set[tuple[str, int]]
    ) -> Iterator[Sequence[Row]]:
        """The whole batches in which something is missing.

        Rows that are there are generated again with the rest of their batch, because in low
        precision a row can feel its company: the texts are those of a run without a break. An
        engine that picks the company itself would not pick the same again.
        """
        if self.chosen.own_engine:
            rows = [row for row in rows if (row.document, row.seed) not in done]
        for batch in self.backend.batches(rows):
            if any((row.document, row.seed) not in done for row in batch):
                yield batch

    def _note_begin(self, task: Task, cut_prompts: int) -> None:
        self.begun = True
        texts = fingerprint(task, self.protocol)
        self.record.begin(task.name, texts, self.backend.batch_size, cut_prompts)

    def _forward(self, task: Task, metric: ForwardMetric) -> dict[str, float]:
        file = self.run.lines(f"{task.name}.{metric.name}-v{metric.version}")
        values = {record["id"]: record["value"] for record in file.read()}
        if all(document.id in values for document in task.documents):
            return values
        model, tokenizer = self.backend.model, self.backend.tokenizer
        if model is None:
            return {}
        prompts = self.prompts(task)
        references = [Reference(d.id, prompts[d.id].ids, d.references[0]) for d in task.documents]
        limit = self.protocol.max_new_tokens
        with (
            file.appending() as lines,
            progress(f"{task.name} {metric.name}", len(references), len(values), "documents") as go,
        ):
            for batch in metric.batches(tokenizer, references, limit):
                if all(one.document in values for one in batch):
                    continue
                measured = metric.measure(model, tokenizer, batch, limit)
                for one, value in zip(batch, measured, strict=True):
                    if one.document not in values:
                        lines.add({"id": one.document, "value": value})
                        go()
                lines.sync()
        # Read back, so that values are rounded alike with and without a resume.
        return {record["id"]: record["value"] for record in file.read()}

    def sample_files(self) -> list[Path]:
        """The whole files of samples, of the tasks that are done."""
        return [self.run.lines(task).path for task in self.results]

    def prompts(self, task: Task) -> dict[str, Prompt]:
        """The encoded prompts, by document."""
        return {d.id: self.backend.encode(d.prompt, d.message) for d in task.documents}

    def samples(self, task: Task) -> Samples:
        """The samples of a task that are there, by document and seed."""
        wanted = {(d.id, seed) for d in task.documents for seed in self.protocol.seeds}
        samples: Samples = {}
        for file in [self.run.lines(task.name), *self.run.shard_files(task.name)]:
            for number, record in enumerate(file.read(), start=1):
                sample = read_sample(record, f"{file.path}:{number}")
                if (sample.document, sample.seed) in wanted:
                    samples[sample.document, sample.seed] = sample
        return samples

    @property
    def _shard_slice(self) -> slice:
        if self.settings.shard is None:
            return slice(None)
        index, count = map(int, self.settings.shard.split("/"))
        return slice(index, None, count)

    @property
    def _shard_suffix(self) -> str:
        shard = self.settings.shard
        return "" if shard is None else f".shard-{shard.replace('/', '-of-')}"


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns.

    Attributes:
        run: the run's folder.
        results: by task; a task of which a shard is still to come is absent.
        generated: samples made by this call; 0 when all were there.
    """

    run: Path
    results: Mapping[str, TaskResult]
    generated: int = field(compare=False)

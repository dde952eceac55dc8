"""The samples of a run: read from disk, and generated where they are missing."""

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Facts, Prompt, Row
from kdbench.measuring.asked import asked, is_stored
from kdbench.measuring.loading import LazyBackend
from kdbench.measuring.scoring import origin
from kdbench.protocol import Protocol
from kdbench.store.folder import RunFolder
from kdbench.store.record import RunRecord
from kdbench.store.sample_index import StoredSamples
from kdbench.store.samples import Samples, sample_record
from kdbench.system.progress import progress
from kdbench.task import Document, Task


class Sampling:
    """Generates the missing samples of a run.

    Args:
        run: Folder of the run.
        protocol: Protocol that the samples follow.
        backend: Backend that generates.
        own_engine: Whether the backend chooses the batch composition itself.
        identity: Function that returns what a new `run.json` records, given the backend's facts.
        shard: Part of the documents to generate, as `I/N`; None for all.
        wait: Whether to wait for another process that generates the same samples.

    Attributes:
        generated: Number of samples that this call generated.
        begun: Whether this call wrote a sample.
    """

    def __init__(
        self,
        run: RunFolder,
        protocol: Protocol,
        backend: LazyBackend,
        own_engine: bool,
        identity: Callable[[Facts], Mapping[str, Any]],
        shard: str | None,
        wait: bool,
    ):
        self.run, self.protocol, self.backend = run, protocol, backend
        self.generated = 0
        self.begun = False
        self._record = RunRecord(run)
        self._own_engine, self._identity = own_engine, identity
        self._shard, self._wait = shard, wait

    @property
    def doing(self) -> str:
        """What the progress of generation says: the model, and how many seeds a document has."""
        seeds = len(self.protocol.seeds)
        of_seeds = f", {seeds} seeds" if seeds > 1 else ""
        return f"{self.run.path.parent.name} generating{of_seeds}"

    def stored(self, task: Task) -> Samples:
        """Return the stored samples of a task, those of all shards included."""
        samples = StoredSamples(document.id for document in task.documents)
        for file in [self.run.lines(task.name), *self.run.shard_files(task.name)]:
            samples.add(file, self.protocol.seeds)
        return samples

    def complete(self, task: Task) -> None:
        """Generate the missing samples of this shard of a task.

        Raises:
            InputError: The model or a prompt is bad, the stored samples were generated from
                different prompts, or another process is generating the same samples.
        """
        if self.is_incomplete(task):
            # A bad model or prompt is reported here, before anything is written.
            self.backend.prompts(task)
        with self.run.lock(self._file_name(task), wait=self._wait):
            self._check_origin(task)
            if self.is_incomplete(task):
                self._generate(task)

    def keep_prompts(self, task: Task, prompts: Mapping[str, Prompt] | None = None) -> None:
        """Store what a task asks beside its samples, unless it is stored already.

        Args:
            task: The task.
            prompts: Its prompts as the backend encoded them; None encodes them.
        """
        tokenizer = self.backend.tokenizer()
        self.run.write_prompts(task.name, asked(task, self.protocol, tokenizer, prompts))

    def repair_prompts(self, task: Task, may_be_absent: bool = True) -> None:
        """Store what a task asks if the file is damaged, or is absent and must not be."""
        if may_be_absent and not self.run.has_prompts(task.name):
            return
        with suppress(InputError):
            if is_stored(self.run, task):
                return
        self.keep_prompts(task)

    def is_incomplete(self, task: Task) -> bool:
        """Whether a sample of this shard of a task is missing."""
        return self.missing(task) > 0

    def missing(self, task: Task) -> int:
        """Return the number of samples of this shard of a task that are missing."""
        stored = self.stored(task)
        return sum(
            (document.id, seed) not in stored
            for document in self._documents(task)
            for seed in self.protocol.seeds
        )

    def _check_origin(self, task: Task) -> None:
        """Check that stored samples were generated from the prompts of now."""
        self._record.check_same_texts(task.name, origin(task, self.protocol))
        if not self._record.task(task.name) and self.stored(task):
            raise InputError(
                f"{self.run.path}: has samples of '{task.name}', but run.json does not record "
                "their prompts; delete the folder, or restore run.json"
            )

    def _generate(self, task: Task) -> None:
        prompts = self.backend.prompts(task)
        backend = self.backend.get()
        identity = self._identity(backend.facts())
        done = self.stored(task)
        rows = [
            Row(document.id, seed, prompts[document.id].ids)
            for document in self._documents(task)
            for seed in self.protocol.seeds
        ]
        present = sum((row.document, row.seed) in done for row in rows)
        cut = sum(prompt.cut for prompt in prompts.values())
        texts = origin(task, self.protocol)
        with (
            self.run.lines(self._file_name(task)).appending() as file,
            progress(task.name, len(rows), present, "samples", self.doing) as advance,
        ):
            for batch in self._unfinished(rows, done):
                start, made, tokens = time.monotonic(), 0, 0
                for sample in backend.generate(batch, task.until):
                    if (sample.document, sample.seed) in done:
                        continue
                    if not made:
                        self.begun = True
                        self._record.begin(task.name, texts, identity, backend.batch_size, cut)
                        self.keep_prompts(task, prompts)
                    file.add(sample_record(sample))
                    advance()
                    made += 1
                    tokens += sample.n_tokens or 0
                file.sync()
                self.generated += made
                self._record.add_timing(task.name, made, tokens, time.monotonic() - start)

    def _unfinished(
        self, rows: Sequence[Row], done: Container[tuple[str, int]]
    ) -> Iterator[Sequence[Row]]:
        """Yield the whole batches in which a sample is missing.

        In low precision a text can depend on the batch composition. So stored rows are generated
        again with the rest of their batch, and a resumed run has the texts of an undisturbed one.
        An engine that chooses the composition itself would not choose the same again.
        """
        if self._own_engine:
            rows = [row for row in rows if (row.document, row.seed) not in done]
        for batch in self.backend.get().batches(rows):
            if any((row.document, row.seed) not in done for row in batch):
                yield batch

    def _documents(self, task: Task) -> Sequence[Document]:
        if self._shard is None:
            return task.documents
        index, count = map(int, self._shard.split("/"))
        return task.documents[index::count]

    def _file_name(self, task: Task) -> str:
        if self._shard is None:
            return task.name
        return f"{task.name}.shard-{self._shard.replace('/', '-of-')}"

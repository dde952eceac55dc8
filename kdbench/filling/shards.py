"""`kdbench eval shards=N`: an evaluation shared by processes that it starts itself.

Each shard is an evaluation with `shard=I/N`: it takes every N-th document, and the shard that
finishes a task last scores it. A last piece of work reads all of it again, so that what a shard
lost is made up for, and has the responses judged. A worker that dies is started again.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.evaluation import evaluate, measurements_of
from kdbench.filling.executor import Executor, LocalExecutor
from kdbench.filling.logs import log_of
from kdbench.filling.nodes import Node
from kdbench.filling.sample_count import SampleCount
from kdbench.filling.work import NodeResult
from kdbench.measuring.groups import groups_of_tasks
from kdbench.measuring.measurement import Evaluation, Measurement
from kdbench.system.console import report_progress
from kdbench.system.locks import remove_empty
from kdbench.system.progress import progress
from kdbench.system.remote.hooks import claim, publishing
from kdbench.text import counted

_SECONDS_BETWEEN_UPDATES = 0.5
_RESTARTS = 3
"""How often a shard whose process died starts again; a crash that repeats has a cause."""

MakeExecutor = Callable[[int, Path], Executor]
"""Makes an executor, from the number of its workers and the folder of its logs."""


@dataclass(frozen=True)
class ShardNode(Node):
    """A shard of an evaluation, or with all settings of it the rest that no shard does.

    Attributes:
        place: Name of its log.
        settings: What to measure, and how, with `shard=I/N`.
    """

    kind: ClassVar[str] = "eval"

    settings: EvalSettings = field(repr=False)

    def is_done(self) -> bool:
        """Never known beforehand; a shard that is complete loads no model and ends at once."""
        return False

    def amount(self) -> None:
        """Shards are not timed."""

    def run(self) -> bool:
        """Measure the shard's documents."""
        evaluate(self.settings)
        return True


def shard_nodes(settings: EvalSettings) -> list[ShardNode]:
    """The shards of an evaluation.

    Args:
        settings: What to measure, with `shards=N`.
    """
    count = settings.shards or 1
    alone = settings.model_dump(include=settings.model_fields_set - {"shards", "judge"})
    kept = {key: getattr(settings, key) for key in alone if not key.startswith(("judge", "report"))}
    return [
        _node(
            f"shard {index}/{count}",
            f"shard-{index}-of-{count}",
            EvalSettings(**kept, shard=f"{index}/{count}"),
        )
        for index in range(count)
    ]


def _node(label: str, log: str, settings: EvalSettings) -> ShardNode:
    return ShardNode(label, (), "", Path(log), settings)


def evaluate_in_shards(
    settings: EvalSettings, make_executor: MakeExecutor = LocalExecutor
) -> Evaluation:
    """Measure a checkpoint with several processes; equal to `evaluate`, byte for byte.

    Args:
        settings: What to measure, and how, with `shards=N`.
        make_executor: Makes what runs the shards.

    Raises:
        InputError: As for `evaluate`, or a shard's process died again and again.
    """
    with publishing():
        return _evaluated(settings, make_executor)


def _evaluated(settings: EvalSettings, make_executor: MakeExecutor) -> Evaluation:
    runs = measurements_of(settings)
    student, shards = runs[0], shard_nodes(settings)
    rest = settings.model_copy(update={"shards": None})
    count = SampleCount(runs)
    missing = count.missing()
    if not missing:  # nothing to share
        return evaluate(rest)
    folder = student.run.path / "samples" / "shards"
    for run in runs:  # the workers write them, and know of no store
        claim(run.run.path)
    with student.run.lock("shards"), _logs(folder, student):
        executor = make_executor(len(shards), folder)
        try:
            with progress(student.name, missing, 0, "samples", _doing(len(shards))) as advance:
                _run(shards, executor, folder, count, advance)
            _run([_node("the rest", "rest", rest)], executor, folder, count, lambda: None)
        finally:
            executor.close()
    return _evaluation(student, missing)


def _doing(shards: int) -> str:
    return f"generating, {counted(shards, 'shard')}"


@contextmanager
def _logs(folder: Path, student: Measurement) -> Iterator[None]:
    """The folder of the shards' logs, which is kept only with what failed."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not (student.run.path / "run.json").exists():  # bad input leaves nothing behind
            shutil.rmtree(folder, ignore_errors=True)
            remove_empty(made[1:])
        raise
    shutil.rmtree(folder)


def _run(
    nodes: Sequence[ShardNode],
    executor: Executor,
    folder: Path,
    count: SampleCount,
    advance: Callable[[], None],
) -> None:
    """Run shards until all are done.

    Raises:
        InputError: One has failed; the others are stopped.
    """
    by_key = {node.key: node for node in nodes}
    restarts = dict.fromkeys(by_key, 0)
    running = set(by_key)
    for node in nodes:
        executor.submit(node)
    while running:
        for result in executor.finished(_SECONDS_BETWEEN_UPDATES):
            node = by_key[result.key]
            if result.error is None:
                running.discard(result.key)
                continue
            if not result.died or restarts[result.key] == _RESTARTS:
                raise InputError(_failure(node, result, restarts, folder))
            restarts[result.key] += 1
            report_progress(f"{node.label}: {result.error}; starting it again")
            executor.submit(node)
        for _ in range(count.new()):
            advance()


def _failure(node: ShardNode, result: NodeResult, restarts: Mapping[str, int], folder: Path) -> str:
    if not result.died:
        return str(result.error)
    return (
        f"{node.label}: {result.error}, {restarts[result.key] + 1} times (log: "
        f"{log_of(node, folder)}); try a smaller batch_size= or fewer shards=, and run the command "
        "again to resume"
    )


def _evaluation(student: Measurement, generated: int) -> Evaluation:
    """The stored outcome of a complete run."""
    results = {task.name: student.run.read_task(task.name) for task in student.tasks}
    names = {group.name for group in groups_of_tasks(student.tasks)}
    groups = {group.task: group for group in student.run.groups() if group.task in names}
    whole = {name: result for name, result in results.items() if result is not None}
    return Evaluation(student.run.path, whole, generated, groups)

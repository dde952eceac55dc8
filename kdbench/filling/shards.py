"""`kdbench eval shards=N`: an evaluation shared by processes that it starts itself.

Each shard is an evaluation with `shard=I/N`: it takes every N-th document, and the shard that
finishes a task last scores it. A last piece of work reads all of it again, so that what a shard
lost is made up for, and has the responses judged. A worker that dies is started again.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kdbench.config import EvalSettings
from kdbench.config.executor import ExecutorKeys
from kdbench.errors import InputError
from kdbench.evaluation import evaluate, measurements_of
from kdbench.filling.choice import MakeExecutor, choose_executor
from kdbench.filling.executor import Executor
from kdbench.filling.logs import log_of
from kdbench.filling.nodes import Node
from kdbench.filling.resources import Resources, resources_of_evaluation
from kdbench.filling.sample_count import SampleCount
from kdbench.filling.work import NodeResult
from kdbench.measuring.groups import groups_of_tasks
from kdbench.measuring.measurement import Evaluation, Measurement
from kdbench.system.console import report_progress
from kdbench.system.locks import remove_empty
from kdbench.system.progress import progress
from kdbench.system.remote.hooks import claim, is_mirrored, publishing
from kdbench.task.given_rows import is_given
from kdbench.text import counted

_SECONDS_BETWEEN_UPDATES = 0.5
_RESTARTS = 3
"""How often a shard whose process died starts again; a crash that repeats has a cause."""


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
    kept = _without(settings, "shards", "executor", "judge", "report")
    return [
        _node(
            f"shard {index}/{count}",
            f"shard-{index}-of-{count}",
            kept.model_copy(update={"shard": f"{index}/{count}"}),
        )
        for index in range(count)
    ]


def _without(settings: EvalSettings, *starts: str) -> EvalSettings:
    """The settings without the keys that start so."""
    given = settings.model_fields_set
    kept = {key: getattr(settings, key) for key in given if not key.startswith(starts)}
    return EvalSettings(**kept)


def _node(label: str, log: str, settings: EvalSettings) -> ShardNode:
    return ShardNode(label, (), "", Path(log), settings)


def evaluate_in_shards(
    settings: EvalSettings, make_executor: MakeExecutor | None = None
) -> Evaluation:
    """Measure a checkpoint with several processes; equal to `evaluate`, byte for byte.

    Args:
        settings: What to measure, and how, with `shards=N`.
        make_executor: Makes what runs the shards (default: as `executor=` says).

    Raises:
        InputError: As for `evaluate`, or a shard's process died again and again.
    """
    make = make_executor or choose_executor(
        ExecutorKeys(
            workers=settings.shards,
            executor=settings.executor,
            executor_options=settings.executor_options,
        )
    )
    if is_mirrored(settings.results) and settings.executor != "local":
        raise InputError(
            f"executor={settings.executor}: shards on other machines share one run, so results= "
            "must be a folder on a disk that they share, not a URL"
        )
    for task in settings.tasks:
        if is_given(task):
            raise InputError(
                f"tasks={task}: was given as rows, which other processes do not see; write them "
                "into a file, or leave shards= out"
            )
    with publishing():
        return _evaluated(settings, make)


def _evaluated(settings: EvalSettings, make_executor: MakeExecutor) -> Evaluation:
    runs = measurements_of(settings)
    student, shards = runs[0], shard_nodes(settings)
    rest = _node("the rest", "rest", _without(settings, "shards", "executor"))
    count = SampleCount(runs)
    missing = count.missing()
    if not missing:  # nothing to share
        return evaluate(rest.settings)
    for run in runs:  # the workers write them, and know of no store
        claim(run.run.path)
    folder = student.run.path / "samples" / "shards"
    with student.run.lock("shards"), _logs(folder, student):
        executor = make_executor(folder, _needs)
        try:
            executor.begin([*shards, rest])
            with progress(student.name, missing, 0, "samples", _doing(len(shards))) as advance:
                _run(shards, executor, folder, count, advance)
            _run([rest], executor, folder, count, lambda: None)
        finally:
            executor.close()
    return _evaluation(student, missing)


def _needs(node: Node) -> Resources:
    """What a shard needs of a machine: a GPU where there are some."""
    return resources_of_evaluation(node.settings) if isinstance(node, ShardNode) else Resources()


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
    waiting = {node.key: node for node in nodes}
    running: dict[str, ShardNode] = {}
    deaths = Counter[str]()
    while waiting or running:
        for key, node in list(waiting.items()):
            if len(running) >= executor.slots or not executor.has_room(node):
                break
            running[key] = waiting.pop(key)
            executor.submit(node)
        for result in executor.finished(_SECONDS_BETWEEN_UPDATES):
            node = running.pop(result.key)
            if result.error is None:
                continue
            deaths[node.key] += result.died
            if deaths[node.key] > _RESTARTS or not (result.died or result.preempted):
                raise InputError(_failure(node, result, deaths[node.key], folder))
            report_progress(f"{node.label}: {result.error}; starting it again")
            waiting[node.key] = node
        for _ in range(count.new()):
            advance()


def _failure(node: ShardNode, result: NodeResult, deaths: int, folder: Path) -> str:
    if not result.died:
        return str(result.error)
    return (
        f"{node.label}: {result.error}, {deaths} times (log: "
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

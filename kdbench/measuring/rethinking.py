"""The samples of a stored run under another treatment of the thinking.

Nothing is generated. The samples are copied to a run of their own, whose protocol says what of them
is scored, so that the two results never mix.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from kdbench.errors import InputError
from kdbench.measuring.forward_metrics import values_file
from kdbench.measuring.scoring import origin
from kdbench.measuring.stored_protocol import ExternalProtocol
from kdbench.measuring.thinking import split_samples
from kdbench.metrics import ModelMetric, make_metrics
from kdbench.protocol import PROTOCOLS, Protocol
from kdbench.store.folder import RunFolder, generated_run_id, run_id
from kdbench.store.record import RunRecord
from kdbench.store.samples import read_samples, sample_record
from kdbench.task import Task

_DTYPES = ("auto", "float32", "bfloat16", "float16")


def changed_protocol(
    old: Protocol, thinking: Literal["strip", "keep"] | None, marks: tuple[str, str] | None
) -> Protocol:
    """Return the protocol of a stored run with another treatment of the thinking.

    Args:
        old: Protocol of the run.
        thinking: What is to become of the thinking; None for what the run does.
        marks: Marks around it; None for those of the run.
    """
    changes = {"thinking": thinking or old.thinking, "thinking_marks": marks or old.thinking_marks}
    if all(getattr(old, key) == value for key, value in changes.items()):
        return old
    base = PROTOCOLS.get(old.name.partition("+")[0])
    if isinstance(old, ExternalProtocol):
        base = ExternalProtocol("external", seeds=old.seeds)
    if base is None:
        return old.override(changes)
    # From the named protocol, so that the name is the one that kdbench eval gives.
    fields = {key: value for key, value in vars(old).items() if key != "name"}
    return base.override({**fields, **changes})


def copied_run(
    run: RunFolder,
    tasks: Sequence[Task],
    protocols: tuple[Protocol, Protocol],
    marks: tuple[str, str] | None,
) -> RunFolder:
    """Return the run that has another run's samples under another treatment of the thinking.

    Args:
        run: The stored run.
        tasks: Tasks to copy; one that the other run already has stays.
        protocols: Protocols of the run and of the other one.
        marks: Marks around the thinking, if they were given.

    Raises:
        InputError: The run has no samples of a task, or has those of other prompts.
    """
    old, new = protocols
    record = run.read_whole_run()
    for task in tasks:  # before anything is written
        RunRecord(run).check_same_texts(task.name, origin(task, old))
        if not run.lines(task.name).path.exists():
            raise InputError(f"{run.lines(task.name).path}: there are no samples to score again")
    other = RunFolder(run.path.parent / _other_id(run.path.name, record, old, new))
    for task in tasks:
        with other.lock(task.name):
            if not other.lines(task.name).path.exists():
                _copy(task.name, run, other, {**record, "protocol": new.as_dict()}, new, marks)
    return other


def _copy(
    task: str,
    run: RunFolder,
    other: RunFolder,
    record: Mapping[str, Any],
    protocol: Protocol,
    marks: tuple[str, str] | None,
) -> None:
    samples = read_samples(run.lines(task))
    entry = {task: record["tasks"][task]} if task in record["tasks"] else {}

    def change(now: dict[str, Any]) -> dict[str, Any]:
        now = now or {**record, "tasks": {}}
        return {**now, "tasks": {**now["tasks"], **entry}, "status": "running"}

    other.update_run(change)
    if prompts := run.prompts(task):
        other.write_prompts(task, prompts)
    for metric in make_metrics():
        if isinstance(metric, ModelMetric) and (values := values_file(run, task, metric).read()):
            values_file(other, task, metric).replace(values)
    split = split_samples(samples, protocol.thinking, marks)
    other.lines(task).replace(map(sample_record, split.values()))


def _other_id(folder: str, record: Mapping[str, Any], old: Protocol, new: Protocol) -> str:
    """Return the folder's name: the one that kdbench eval or score gives to such a run."""
    for was, now in zip(_ids(record, old), _ids(record, new), strict=True):
        if was == folder:
            return now
    return run_id(new.name, {"run": folder, "protocol": new.as_dict()})


def _ids(record: Mapping[str, Any], protocol: Protocol) -> Iterator[str]:
    """Yield the names that the run can have: its `dtype=` is not recorded."""
    backend, limit, fields = record.get("backend", {}), record["limit"], protocol.as_dict()
    if isinstance(protocol, ExternalProtocol):
        texts = {"backend": "external", "limit": limit, "protocol": fields}
        yield run_id(protocol.name, texts)
        return
    options = backend.get("options")
    identity = f"{backend.get('name')} {json.dumps(options)}" if options else backend.get("name")
    for dtype in _DTYPES:
        yield generated_run_id(record["model"].get("sha256"), fields, limit, dtype, identity)

"""`executor=slurm`: each node is a job of Slurm, submitted with submitit.

Slurm's queue outlives the driver. A job's name says which node of which table it does, so a driver
that is started again finds the jobs of the one before, and submits none twice.
"""

import hashlib
import pickle
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from kdbench.config import Settings
from kdbench.config.kinds import AtLeastOne, Names, OptionMap
from kdbench.errors import InputError, reason_of
from kdbench.filling.executor import Executor, NeedsOf, no_needs
from kdbench.filling.executors import executors
from kdbench.filling.executors.slurm.commands import asked, said_by
from kdbench.filling.executors.slurm.work import SlurmWork
from kdbench.filling.logs import log_of
from kdbench.filling.nodes import Node
from kdbench.filling.work import NodeResult
from kdbench.registry.plugins import loaded_plugins
from kdbench.system.console import report_progress
from kdbench.text import counted

if TYPE_CHECKING:
    from submitit import SlurmJob

_MOST_IN_FLIGHT = 64  # jobs in the queue
_MOST_TIMEOUTS = 100  # of a job that is queued again at its time limit, and resumes
_SECONDS_BETWEEN_POLLS = 10.0  # of the queue
_POLLS_WITHOUT_RESULT = 3  # after a job has left the queue; a shared disk shows files late
_GIB = 1024**3
_TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")


class SlurmOptions(Settings):
    """Options of `executor=slurm`."""

    partition: str | None = Field(None, description="partition")
    account: str | None = Field(None, description="account that pays")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that a machine must have")
    exclude: str | None = Field(None, description="machines to avoid")
    time: AtLeastOne = Field(
        240,
        description="time limit of a job: minutes, or 'HH:MM:SS' in quotes; at the limit it is "
        "queued again and resumes",
    )
    gpu_type: str | None = Field(None, description="type of the GPUs, as in gres: a100")
    setup: Names = Field((), description="shell commands before a job, such as module load cuda")
    more: OptionMap = Field({}, description="other options of sbatch, without their dashes")

    @field_validator("time", mode="before")
    @classmethod
    def _minutes(cls, value: object) -> object:
        match = _TIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return days * 1440 + hours * 60 + minutes + ceil(seconds / 60)


@dataclass
class _Running:
    """A node whose job is in the queue, or was a moment ago.

    Attributes:
        node: The node.
        job: Its job.
        polls: How often the queue was seen without the job.
    """

    node: Node
    job: "SlurmJob[NodeResult]"
    polls: int = 0


@executors.register("slurm")
class SlurmExecutor(Executor):
    """Runs nodes as jobs of Slurm, whose files are on a disk that its machines share."""

    options, package, extra = SlurmOptions, "submitit", "slurm"

    def __init__(
        self,
        workers: int | None,
        models: Path,
        needs: NeedsOf = no_needs,
        options: Settings | None = None,
    ):
        super().__init__(workers, models, needs, options)
        self._given = options if isinstance(options, SlurmOptions) else SlurmOptions()
        self.slots = workers or _MOST_IN_FLIGHT
        self._folder = (models / "slurm").absolute()
        self._running: dict[str, _Running] = {}
        self._polled = 0.0

    def describe(self) -> str:
        """Where jobs go, and how many at a time."""
        where = f", partition {self._given.partition}" if self._given.partition else ""
        return f"Slurm{where}: up to {counted(self.slots, 'job')} of {self._given.time} min"

    def needed(self, node: Node) -> str:
        """What a job asks for, the estimate of its memory included."""
        needs = self.needs(node)
        asked_for = replace(needs, memory=needs.memory or needs.likely_memory)
        return asked_for.text(self.has_gpus)

    def begin(self, nodes: Sequence[Node]) -> None:
        """Ask Slurm whether it is there and has GPUs.

        Raises:
            InputError: This machine cannot submit jobs.
        """
        del nodes
        if not (shutil.which("sbatch") and shutil.which("srun")):
            raise InputError(
                "executor=slurm: no sbatch and srun here; run kdbench on a machine that submits "
                "jobs, such as a login node"
            )
        partition = [f"--partition={self._given.partition}"] if self._given.partition else []
        self.has_gpus = "gpu" in asked(["sinfo", "--noheader", "--format=%G", *partition])

    def submit(self, node: Node) -> None:
        """Submit a job, or follow the one that an earlier driver submitted.

        Raises:
            InputError: Slurm refuses the job.
        """
        from submitit import SlurmJob

        name = self._name_of(node)
        queued = asked(["squeue", "--me", "--noheader", "--format=%A", f"--name={name}"]).split()
        if queued:
            report_progress(f"{node.key}: follows job {queued[0]}, which is in Slurm's queue")
            job: SlurmJob[NodeResult] = SlurmJob(self._folder, queued[0])
        else:
            job = self._submitted(node, name)
        self._running[node.key] = _Running(node, job)

    def _submitted(self, node: Node, name: str) -> "SlurmJob[NodeResult]":
        from submitit import SlurmExecutor as Submitter
        from submitit.core.utils import FailedJobError

        needs, given = self.needs(node), self._given
        gpus = ceil(needs.gpus_of(bool(self.has_gpus)))
        kind = f"{given.gpu_type}:" if given.gpu_type else ""
        memory = needs.memory or needs.likely_memory
        parameters = {
            "job_name": name,
            "time": given.time,
            "partition": given.partition,
            "account": given.account,
            "qos": given.qos,
            "constraint": given.constraint,
            "exclude": given.exclude,
            "gpus_per_node": f"{kind}{gpus}" if gpus else None,
            "cpus_per_task": needs.cpus,
            "mem": memory and f"{ceil(memory / _GIB * 1024)}M",
            "setup": list(given.setup) or None,
            "additional_parameters": dict(given.more) or None,
            "stderr_to_stdout": True,
        }
        if any(keys.options for keys in node.mirrors):  # which can be secret, and are pickled here
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
        submitter = Submitter(self._folder, max_num_timeout=_MOST_TIMEOUTS)
        submitter.parameters.update({k: v for k, v in parameters.items() if v is not None})
        plugins = [plugin.path for plugin in loaded_plugins()]
        hides = not gpus and ":" not in needs.device
        work = SlurmWork(pickle.dumps(node), self.models, Path.cwd(), plugins, needs.cpus, hides)
        try:
            return submitter.submit(work)  # type: ignore[return-value]
        except (FailedJobError, subprocess.CalledProcessError, OSError) as error:
            raise InputError(f"executor=slurm: {node.key}: {reason_of(error)}") from None

    def _name_of(self, node: Node) -> str:
        """The name of a node's job, which no other table and no other version of the node has."""
        stem = log_of(node, self.models).stem
        place = f"{self._folder} {node.fingerprint}"
        return f"{stem}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"

    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a job to end, with a look at the queue every few seconds."""
        end = time.monotonic() + timeout
        while True:
            results = [
                self._result(running)
                for running in list(self._running.values())
                if running.job.paths.result_pickle.exists()
            ]
            results += self._without_result()
            if results or time.monotonic() >= end:
                return results
            time.sleep(min(timeout, 0.1))

    def _result(self, running: _Running) -> NodeResult:
        del self._running[running.node.key]
        error = running.job.exception()
        if error is None:
            return running.job.result()
        log = running.job.paths.stdout
        last = next((line for line in reversed(str(error).splitlines()) if "Error" in line), "")
        return NodeResult(
            running.node.key, f"job {running.job.job_id}: {last or 'failed'} (log: {log})"
        )

    def _without_result(self) -> list[NodeResult]:
        """The nodes whose jobs have left the queue, and left nothing."""
        if time.monotonic() - self._polled < _SECONDS_BETWEEN_POLLS or not self._running:
            return []
        self._polled = time.monotonic()
        answer = said_by(["squeue", "--me", "--noheader", "--format=%A"])
        if answer is None:  # its controller may be restarting; the jobs go on without it
            return []
        queued = set(answer.split())
        ended = []
        for running in list(self._running.values()):
            there = running.job.job_id in queued or running.job.paths.result_pickle.exists()
            running.polls = 0 if there else running.polls + 1
            if running.polls >= _POLLS_WITHOUT_RESULT:
                del self._running[running.node.key]
                ended.append(_lost(running))
        return ended

    def close(self) -> None:
        """Leave the jobs that are in the queue, and say so: the next call follows them."""
        if self._running:
            ids = " ".join(running.job.job_id for running in self._running.values())
            report_progress(
                f"{counted(len(self._running), 'job')} stay in Slurm's queue: the same command "
                f"follows them, and 'scancel {ids}' ends them"
            )


def _lost(running: _Running) -> NodeResult:
    """What became of a job without a result, in Slurm's words."""
    job, key = running.job, running.node.key
    table = said_by(["sacct", "-X", "-n", "-P", "-o", "State", "-j", job.job_id]) or ""
    state = table.strip().splitlines()[-1] if table.strip() else "UNKNOWN"  # no accounting
    said = f"job {job.job_id} ended as {state}"
    if state.startswith("PREEMPTED"):
        return NodeResult(key, said, preempted=True)
    if state.startswith("CANCELLED"):
        return NodeResult(key, said)
    log = job.paths.stdout
    seen = f"log: {log}" if log.exists() else f"no log: its machine may not see {log.parent}"
    return NodeResult(key, f"{said} ({seen})", died=True)

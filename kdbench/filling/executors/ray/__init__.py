"""`executor=ray`: a Ray cluster, started on this machine or reached at an address."""

import os
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from kdbench.config import Settings
from kdbench.errors import InputError
from kdbench.filling.executor import Executor, NeedsOf, no_needs
from kdbench.filling.executors import executors
from kdbench.filling.executors.ray.broker import Job, Machine, Start, serve, unseen
from kdbench.filling.gpus import Placement, visible_gpus
from kdbench.filling.nodes import Node
from kdbench.filling.resources import gpu_count, memory_size
from kdbench.filling.work import NodeResult
from kdbench.registry.plugins import loaded_plugins
from kdbench.system.console import report_progress
from kdbench.system.processes import is_alive, this_process
from kdbench.text import counted

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_ADDRESS = "RAY_ADDRESS"
_MOST_IN_FLIGHT = 64  # nodes at a cluster elsewhere, where Ray's queue holds what does not fit
_MOST_STARTS = 5  # of a broker in a row, while no node ends
_SECONDS_BETWEEN_STARTS = 5.0
_SEEN_BY = ".seen-by-"


class RayOptions(Settings):
    """Options of `executor=ray`."""

    address: str | None = Field(
        None,
        description="address of a running cluster: auto, HOST:PORT or ray://HOST:PORT (default: "
        f"{_ADDRESS} if it is set, else a cluster that is started on this machine)",
    )
    autoscales: bool = Field(
        False,
        description="whether the cluster adds machines by itself, so that a node may wait for one "
        "that it does not have yet",
    )


@executors.register("ray")
class RayExecutor(Executor):
    """Runs nodes as tasks of Ray, through a broker process that may die and be started again."""

    options, package, extra = RayOptions, "ray", "ray"

    def __init__(
        self,
        workers: int | None,
        models: Path,
        needs: NeedsOf = no_needs,
        options: Settings | None = None,
    ):
        super().__init__(workers, models, needs, options)
        given = options if isinstance(options, RayOptions) else RayOptions()
        self._autoscales = given.autoscales
        self._address = given.address or os.environ.get(_ADDRESS) or None
        gpus = [] if self._address else visible_gpus()
        self.slots = workers or (_MOST_IN_FLIGHT if self._address else max(1, len(gpus)))
        self.has_gpus = None if self._address else bool(gpus)
        self._placement = Placement(gpus, self.slots)
        self._running: dict[str, Node] = {}
        self._machines: list[Machine] = []
        self._broker: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._cpus = self.slots
        self._starts = 0

    def describe(self) -> str:
        """Where Ray runs, and how many nodes it gets at a time."""
        at_most = counted(self.slots, "worker")
        if self._address:
            return f"the Ray cluster at {self._address}: up to {at_most}"
        gpus = len(self._placement.gpus)
        return f"a Ray cluster on this machine: {at_most}{f' on {gpu_count(gpus)}' if gpus else ''}"

    def begin(self, nodes: Sequence[Node]) -> None:
        """Start or reach Ray, and check that each node fits on a machine that sees its files.

        Raises:
            InputError: Ray cannot be reached, or a node can never run there.
        """
        # Processors are only counted: as many workers as were asked for shall run.
        self._cpus = self.slots * max((self.needs(node).cpus or 1 for node in nodes), default=1)
        self._token = _new_token(self.models / "logs")
        self._start()
        for machine in self._machines:
            if machine.sees is False:
                raise InputError(unseen(machine.host, Path.cwd()))
        if not self._autoscales:
            for node in nodes:
                self._check_fits(node)

    def _start(self) -> None:
        """Start a broker, and wait until it has reached Ray.

        Raises:
            InputError: It cannot.
        """
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        start = Start(
            self._address,
            self._cpus,
            len(self._placement.gpus),
            (self.models / "logs" / "ray.log").absolute(),
            Path.cwd(),
            self._token.absolute(),
        )
        self._broker = context.Process(target=serve, args=(theirs, start, this_process()))
        self._broker.start()
        theirs.close()
        try:
            answer = self._connection.recv()
        except EOFError:
            answer = f"it ended with code {self._broker.exitcode}"
        if isinstance(answer, str):
            where = f"cannot connect to {self._address}" if self._address else "does not start"
            raise InputError(f"executor=ray: Ray {where}: {answer} (log: {start.log})")
        self._machines = answer
        self.has_gpus = any(machine.gpus for machine in self._machines)

    def _check_fits(self, node: Node) -> None:
        job = self._job(node)
        if any(_fits(job, machine) for machine in self._machines):
            return
        wanted = [*([gpu_count(job.gpus)] if job.gpus else []), counted(job.cpus, "CPU")]
        wanted += [memory_size(job.memory)] if job.memory else []
        most = max(self._machines, key=lambda m: (m.gpus, m.memory, m.cpus), default=None)
        has = (
            "none is left"
            if most is None
            else (
                f"the largest has {gpu_count(most.gpus)}, {counted(int(most.cpus), 'CPU')}, "
                f"{memory_size(int(most.memory))}"
            )
        )
        raise InputError(
            f"executor=ray: no machine of the cluster can ever run {node.key}, which needs "
            f"{', '.join(wanted)}; {has}: state less in resources: of the table, or add a machine "
            "(executor_options=autoscales=true waits for one)"
        )

    def _job(self, node: Node) -> Job:
        needs = self.needs(node)
        gpus = needs.gpus_of(bool(self.has_gpus))
        if gpus == 1 and not needs.is_stated:
            gpus = 1 / self._placement.nodes_per_gpu
        cpus = needs.cpus or 1
        return Job(
            node.key,
            pickle.dumps(node),
            self.models,
            [plugin.path for plugin in loaded_plugins()],
            cpus,
            cpus,
            gpus,
            hides_gpus=not gpus and ":" not in needs.device,
            memory=needs.memory or self._likely_memory(needs.likely_memory),
        )

    def _likely_memory(self, memory: int | None) -> int | None:
        """An estimate to ask for, at most what a machine has; none on this machine alone."""
        if memory is None or self._address is None:
            return None
        return min(memory, int(max((m.memory for m in self._machines), default=0))) or None

    def submit(self, node: Node) -> None:
        """Queue a node at Ray."""
        self._running[node.key] = node
        self._send(self._job(node))

    def _send(self, job: Job) -> None:
        assert self._connection is not None  # noqa: S101 - `begin` comes first
        try:
            self._connection.send(job)
        except OSError:  # the broker has died: `finished` notices, and submits what was running
            return

    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a node to end.

        Raises:
            InputError: Ray dies again and again.
        """
        results: list[NodeResult] = []
        connection = self._connection
        assert connection is not None  # noqa: S101 - `begin` comes first
        try:
            while connection.poll(0 if results else timeout):
                result = connection.recv()
                if self._running.pop(result.key, None) is not None:
                    results.append(result)
        except (EOFError, OSError):
            self._start_again()
        if results:
            self._starts = 0
        return results

    def _start_again(self) -> None:
        """Start another broker, and give it what was running; each node resumes from its files."""
        while True:
            self._end_broker()
            self._starts += 1
            if self._starts > _MOST_STARTS:
                raise InputError(
                    f"executor=ray: Ray died {_MOST_STARTS} times in a row (log: "
                    f"{self.models / 'logs' / 'ray.log'}); nothing is lost: run the command again"
                )
            doing = "connecting again" if self._address else "starting it again"
            report_progress(f"Ray's head has died; {doing} ({self._starts} of {_MOST_STARTS})")
            try:
                self._start()
            except InputError as error:
                report_progress(str(error))
                time.sleep(_SECONDS_BETWEEN_STARTS)
                continue
            break
        for node in self._running.values():
            self._send(self._job(node))

    def _end_broker(self) -> None:
        if self._broker is not None:
            self._broker.kill()
            self._broker.join()
            self._broker.close()
            self._broker = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Stop the nodes that are running, and the cluster if it was started here."""
        if self._broker is not None and self._connection is not None:
            with suppress(OSError):  # it has died
                self._connection.send(None)
            self._broker.join(timeout=30)
        self._end_broker()
        if hasattr(self, "_token"):
            self._token.unlink(missing_ok=True)


def _new_token(folder: Path) -> Path:
    """A file that only machines with this disk can see, named after this process.

    Those of drivers of this machine that were killed are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = this_process()
    for token in folder.glob(f"{_SEEN_BY}{here.host}-*"):
        pid = token.name.rpartition("-")[2]
        if pid.isdecimal() and not is_alive(int(pid)):
            token.unlink(missing_ok=True)
    token = folder / f"{_SEEN_BY}{here.host}-{here.pid}"
    token.touch()
    return token


def _fits(job: Job, machine: Machine) -> bool:
    return (
        job.cpus <= machine.cpus
        and job.gpus <= machine.gpus
        and (job.memory or 0) <= machine.memory
    )

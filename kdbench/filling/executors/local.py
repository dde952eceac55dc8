"""`executor=local`: worker processes on this machine, each with GPUs of its own where there are."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from kdbench.config import Settings
from kdbench.errors import InputError
from kdbench.filling.executor import Executor, NeedsOf, no_needs
from kdbench.filling.executors import executors
from kdbench.filling.gpus import ORDER, VISIBLE, Placement, visible_gpus
from kdbench.filling.lease import is_held
from kdbench.filling.logs import log_of
from kdbench.filling.nodes import Node
from kdbench.filling.resources import Resources, gpu_count
from kdbench.filling.work import NodeResult, do, prepare_libraries
from kdbench.registry.plugins import load_plugins, loaded_plugins
from kdbench.system.console import report_progress
from kdbench.system.processes import Starter, end_with, this_process
from kdbench.system.threads import wait_passively, wanted_threads
from kdbench.text import counted

_UNCHANGED = None  # GPUs of a worker that sees what its starter sees


@dataclass(frozen=True)
class _Worker:
    """A process of its own, so that one that is killed fails only its own node.

    Attributes:
        pool: A pool of this one process.
        gpus: The GPUs that it sees; None for those that this process sees.
    """

    pool: ProcessPoolExecutor
    gpus: tuple[str, ...] | None

    def lives(self) -> bool:
        return all(process.is_alive() for process in (self.pool._processes or {}).values())


@executors.register("local")
class LocalExecutor(Executor):
    """Runs nodes in worker processes on this machine, which share its cores.

    A worker sees only the GPUs that its node has. It imports torch once, and later runs another
    node with the same GPUs.
    """

    def __init__(
        self,
        workers: int | None,
        models: Path,
        needs: NeedsOf = no_needs,
        options: Settings | None = None,
    ):
        super().__init__(workers, models, needs, options)
        wait_passively()  # here, because a worker may import torch before it runs anything
        gpus = visible_gpus()
        self.slots = workers or max(1, len(gpus))
        self.has_gpus = bool(gpus)
        self._placement = Placement(gpus, self.slots)
        self._running: dict[Future[NodeResult], tuple[Node, _Worker]] = {}
        self._idle: list[_Worker] = []
        self._plugins = [plugin.path for plugin in loaded_plugins()]

    def describe(self) -> str:
        """`this machine, 2 workers, 2 GPUs`; empty for one worker without a GPU."""
        gpus = self._placement.gpus
        if not gpus:
            return ""
        sharing = f", up to {self._placement.nodes_per_gpu} on each" if self._shares() else ""
        workers = counted(self.slots, "worker")
        return f"this machine: {workers} on {gpu_count(len(gpus))}{sharing}"

    def begin(self, nodes: Sequence[Node]) -> None:
        """Check that each node has enough GPUs here.

        Raises:
            InputError: A node needs more GPUs than there are.
        """
        here = len(self._placement.gpus)
        for node in nodes:
            needs = self.needs(node)
            needed = needs.gpus_of(bool(here))
            if needed > here and _is_placed(needs) and (here or needs.is_stated):
                raise InputError(
                    f"{node.key} needs {gpu_count(needed)}, and {gpu_count(here)} can be used "
                    "here: state fewer in resources: of the table, or use another executor="
                )
        if self._shares():
            report_progress(f"note: {self.describe()}; a GPU that runs out of memory fails a node")

    def has_room(self, node: Node) -> bool:
        """Whether enough GPUs are free."""
        return self._amount(node) is None or self._find(node) is not None

    def in_order(self, nodes: Iterable[Node]) -> Iterable[Node]:
        """Nodes that no other call is doing.

        A worker would only wait for the others, so they are for when there is nothing else to do.
        """
        nodes = list(nodes)
        free = [node for node in nodes if not is_held(log_of(node, self.models))]
        return free or ([] if self._running else nodes)

    def submit(self, node: Node) -> None:
        """Start a node in an idle worker that still lives and sees its GPUs, or in a new one."""
        amount = self._amount(node)
        gpus = _UNCHANGED if amount is None else self._find(node) or ()
        if amount and gpus:
            self._placement.take(node.key, gpus, amount)
        self._drop_idle(gpus)
        worker = next((worker for worker in self._idle if worker.gpus == gpus), None)
        if worker is None:
            worker = self._new_worker(gpus, self.needs(node).cpus)
        else:
            self._idle.remove(worker)
        self._running[worker.pool.submit(do, node, self.models)] = node, worker

    def _shares(self) -> bool:
        return self._placement.nodes_per_gpu > 1

    def _amount(self, node: Node) -> float | None:
        """GPUs that a node takes, 0 to hide them all; None for a node that is not placed.

        That is one whose keys name its device, and every node where no GPU was found.
        """
        needs = self.needs(node)
        if not self._placement.gpus or not _is_placed(needs):
            return None
        if needs.is_stated or needs.gpus > 1:
            return needs.gpus
        return 1 / self._placement.nodes_per_gpu

    def _find(self, node: Node) -> tuple[str, ...] | None:
        amount = self._amount(node)
        return self._placement.find(amount) if amount else ()

    def _drop_idle(self, gpus: tuple[str, ...] | None) -> None:
        """End idle workers that died, or that hold memory of GPUs which another one needs whole."""
        for worker in list(self._idle):
            shared = set(worker.gpus or ()) & set(gpus or ())
            if not worker.lives() or (shared and worker.gpus != gpus):
                self._idle.remove(worker)
                worker.pool.shutdown()

    def _new_worker(self, gpus: tuple[str, ...] | None, cpus: int | None) -> _Worker:
        threads = min(cpus or wanted_threads(), max(1, wanted_threads() // self.slots))
        arguments = (this_process(), threads, self._plugins, gpus)
        return _Worker(ProcessPoolExecutor(1, get_context("spawn"), _begin_worker, arguments), gpus)

    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a node to end; the node of a worker that died has failed."""
        ended, _ = wait(self._running, timeout, FIRST_COMPLETED)
        died = {future for future, (_, worker) in self._running.items() if not worker.lives()}
        return [self._result(future) for future in ended | died]

    def _result(self, future: "Future[NodeResult]") -> NodeResult:
        node, worker = self._running.pop(future)
        self._placement.release(node.key)
        if future.done() and future.exception() is None:
            self._idle.append(worker)
            return future.result()
        worker.pool.shutdown(wait=False, cancel_futures=True)
        return NodeResult(node.key, "its process died, possibly out of memory", died=True)

    def close(self) -> None:
        """Stop all workers."""
        for _, worker in self._running.values():
            for process in (worker.pool._processes or {}).values():
                process.terminate()
            worker.pool.shutdown(wait=False, cancel_futures=True)
        for worker in self._idle:
            worker.pool.shutdown()


def _is_placed(needs: Resources) -> bool:
    """Whether the executor chooses the GPUs: `cuda:1`, or a CPU, is the user's own choice."""
    return needs.device in ("auto", "cuda")


def _begin_worker(
    starter: Starter, threads: int, plugins: Sequence[Path], gpus: tuple[str, ...] | None
) -> None:
    if gpus is not None:  # before anything imports torch
        os.environ[VISIBLE] = ",".join(gpus)
        os.environ.setdefault(ORDER, "PCI_BUS_ID")
    end_with(starter)
    load_plugins(plugins)
    prepare_libraries(threads)

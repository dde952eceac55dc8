"""Where nodes are done: an interface, and this machine."""

import os
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from kdbench.filling.graph import Node
from kdbench.filling.work import Done, do
from kdbench.system.processes import Starter, end_with, this_process


class Executor(ABC):
    """Does nodes. A cluster's would submit jobs; whatever they see is on a shared disk.

    Attributes:
        slots: nodes that it does at once.
    """

    slots: int

    @abstractmethod
    def submit(self, node: Node) -> None:
        """Begin a node; all that it needs is done."""

    @abstractmethod
    def finished(self, timeout: float) -> list[Done]:
        """The nodes that have ended since the last call; waits for one, at most so many seconds."""

    @abstractmethod
    def close(self) -> None:
        """No more nodes; what still runs is stopped."""


class LocalExecutor(Executor):
    """Worker processes on this machine; each imports torch once and shares the cores.

    Each worker has a pool of its own: one that is killed, perhaps for memory, fails its own node.

    Args:
        workers: nodes side by side.
        models: the folder of checkpoints and logs.
    """

    def __init__(self, workers: int, models: Path):
        self.slots, self._models = workers, models
        self._running: dict[Future[Done], tuple[Node, ProcessPoolExecutor]] = {}
        self._idle: list[ProcessPoolExecutor] = []

    def submit(self, node: Node) -> None:
        """Begin a node."""
        pool = self._idle.pop() if self._idle else self._new_pool()
        self._running[pool.submit(do, node, self._models)] = node, pool

    def _new_pool(self) -> ProcessPoolExecutor:
        threads = max(1, _cores() // self.slots)
        return ProcessPoolExecutor(
            1, get_context("spawn"), _begin_worker, (this_process(), threads)
        )

    def finished(self, timeout: float) -> list[Done]:
        """The nodes that have ended; a worker that died has failed its node."""
        done, _ = wait(self._running, timeout, FIRST_COMPLETED)
        dead = {one for one, (_, pool) in self._running.items() if not _is_alive(pool)}
        return [self._outcome(future) for future in done | dead]

    def _outcome(self, future: "Future[Done]") -> Done:
        node, pool = self._running.pop(future)
        if future.done() and future.exception() is None:
            self._idle.append(pool)
            return future.result()
        pool.shutdown(wait=False, cancel_futures=True)
        return Done(node.key, "its process died, perhaps for want of memory", 0.0, True)

    def close(self) -> None:
        """Stop the workers."""
        for _, pool in self._running.values():
            for process in (pool._processes or {}).values():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._idle:
            pool.shutdown()


def _is_alive(pool: ProcessPoolExecutor) -> bool:
    return all(process.is_alive() for process in (pool._processes or {}).values())


def _cores() -> int:
    """That this process may use, less if OMP_NUM_THREADS says so."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))


def _begin_worker(starter: Starter, threads: int) -> None:
    end_with(starter)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    torch.set_num_threads(threads)

"""Where nodes are done: an interface, and this machine."""

import os
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from kdbench.filling.graph import Node
from kdbench.filling.work import Done, die_with, do


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

    Args:
        workers: nodes side by side.
        models: the folder of checkpoints and logs.
    """

    def __init__(self, workers: int, models: Path):
        self.slots, self._models = workers, models
        self._running: dict[Future[Done], Node] = {}
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        threads = max(1, (os.cpu_count() or 1) // self.slots)
        return ProcessPoolExecutor(
            self.slots, get_context("spawn"), _begin_worker, (os.getpid(), threads)
        )

    def submit(self, node: Node) -> None:
        """Begin a node."""
        try:
            future = self._pool.submit(do, node, self._models)
        except BrokenProcessPool:  # a worker was killed, perhaps for memory
            self._pool = self._new_pool()
            future = self._pool.submit(do, node, self._models)
        self._running[future] = node

    def finished(self, timeout: float) -> list[Done]:
        """The nodes that have ended; a worker that died has failed its node."""
        done, _ = wait(self._running, timeout, FIRST_COMPLETED)
        return [self._outcome(future, self._running.pop(future)) for future in done]

    def _outcome(self, future: "Future[Done]", node: Node) -> Done:
        error = future.exception()
        if error is None:
            return future.result()
        return Done(node.key, f"its process died ({type(error).__name__})", 0.0, True)

    def close(self) -> None:
        """Stop the workers."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(parent: int, threads: int) -> None:
    die_with(parent)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from kdbench.quiet import quiet_libraries

    quiet_libraries()
    import torch

    torch.set_num_threads(threads)

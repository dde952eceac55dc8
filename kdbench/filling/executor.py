"""Where nodes run: an interface, and its implementation for this machine."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from kdbench.filling.nodes import Node
from kdbench.filling.work import NodeResult, do
from kdbench.registry.plugins import load_plugins, loaded_plugins
from kdbench.system.processes import Starter, end_with, this_process
from kdbench.system.threads import wait_passively, wanted_threads


class Executor(ABC):
    """Runs nodes. One for a cluster would submit jobs, whose files are on a shared disk.

    Attributes:
        slots: Number of nodes that it runs in parallel.
    """

    slots: int

    @abstractmethod
    def submit(self, node: Node) -> None:
        """Start a node whose needs are done."""

    @abstractmethod
    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a node to end.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The results of the nodes that have ended since the last call.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the nodes that are running."""


class LocalExecutor(Executor):
    """Runs nodes in worker processes on this machine, which share its cores.

    Each worker has its own pool, so a worker that is killed, say for its memory, fails only its own
    node. A worker imports torch once.

    Args:
        workers: Number of nodes to run in parallel.
        models: Folder of checkpoints and logs.
    """

    def __init__(self, workers: int, models: Path):
        wait_passively()  # here, because a worker may import torch before it runs anything
        self.slots, self._models = workers, models
        self._running: dict[Future[NodeResult], tuple[Node, ProcessPoolExecutor]] = {}
        self._idle: list[ProcessPoolExecutor] = []
        self._plugins = [plugin.path for plugin in loaded_plugins()]

    def submit(self, node: Node) -> None:
        """Start a node in an idle worker that still lives, or in a new one."""
        pool = next((pool for pool in self._idle if _is_alive(pool)), None)
        if pool is None:
            pool = self._new_pool()
        else:
            self._idle.remove(pool)
        self._running[pool.submit(do, node, self._models)] = node, pool

    def _new_pool(self) -> ProcessPoolExecutor:
        threads = max(1, wanted_threads() // self.slots)
        return ProcessPoolExecutor(
            1, get_context("spawn"), _begin_worker, (this_process(), threads, self._plugins)
        )

    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a node to end; the node of a worker that died has failed."""
        ended, _ = wait(self._running, timeout, FIRST_COMPLETED)
        died = {future for future, (_, pool) in self._running.items() if not _is_alive(pool)}
        return [self._result(future) for future in ended | died]

    def _result(self, future: "Future[NodeResult]") -> NodeResult:
        node, pool = self._running.pop(future)
        if future.done() and future.exception() is None:
            self._idle.append(pool)
            return future.result()
        pool.shutdown(wait=False, cancel_futures=True)
        return NodeResult(node.key, "its process died, possibly out of memory", died=True)

    def close(self) -> None:
        """Stop all workers."""
        for _, pool in self._running.values():
            for process in (pool._processes or {}).values():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._idle:
            pool.shutdown()


def _is_alive(pool: ProcessPoolExecutor) -> bool:
    return all(process.is_alive() for process in (pool._processes or {}).values())


def _begin_worker(starter: Starter, threads: int, plugins: Sequence[Path]) -> None:
    end_with(starter)
    load_plugins(plugins)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    torch.set_num_threads(threads)

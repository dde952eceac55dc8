"""What a worker does for one node: in a process of its own, with a log of its own.

The worker holds the node's lock, so that one process at a time does a node; a process that gets the
lock later finds the node done.
"""

import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError
from kdbench.filling.lease import held
from kdbench.filling.logs import log_of, output_to
from kdbench.filling.nodes import Node
from kdbench.filling.store import at_store
from kdbench.filling.times import record_time


@dataclass(frozen=True)
class NodeResult:
    """How a node ended.

    Attributes:
        key: Key of the node.
        error: What went wrong, in one line; None if the node is done.
        died: Whether its process ended without a word, so that another try may succeed.
        preempted: Whether it had to make room for others, which says nothing about itself.
    """

    key: str
    error: str | None = None
    died: bool = False
    preempted: bool = False


def do(node: Node, models: Path) -> NodeResult:
    """Do a node unless it is done, and write its output into its log.

    Args:
        node: The node.
        models: Folder of checkpoints and logs.
    """
    log = log_of(node, models)
    log.parent.mkdir(parents=True, exist_ok=True)
    with held(log), output_to(log):
        try:
            with at_store(node, models):
                if node.is_done():
                    return NodeResult(node.key)
                start = time.monotonic()
                if node.run():
                    record_time(models, node, time.monotonic() - start)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever fails a node, the others continue
            if not isinstance(error, InputError):
                traceback.print_exc()
            return NodeResult(node.key, _one_line(error))
    return NodeResult(node.key)


def _one_line(error: BaseException) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


def prepare_libraries(threads: int) -> None:
    """Prepare the libraries of a process that will run nodes.

    Args:
        threads: Threads for the native code.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    torch.set_num_threads(threads)

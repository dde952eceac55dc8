"""What a job of Slurm does: a node, also after it was queued again."""

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.filling.gpus import VISIBLE
from kdbench.filling.work import NodeResult, do, prepare_libraries
from kdbench.registry.plugins import load_plugins
from kdbench.system.threads import wait_passively, wanted_threads


@dataclass
class SlurmWork:
    """What a job does: a node. Submitit calls it, and asks it what to do after a requeue.

    Attributes:
        node: The node, pickled, because it may be of a plug-in that the job loads first.
        models: Folder of checkpoints and logs.
        folder: Working folder of the driver.
        plugins: Files of plug-ins.
        cpus: Threads for the native code; None for all cores of the job.
        hides_gpus: Whether the node must not see any GPU.
    """

    node: bytes
    models: Path
    folder: Path
    plugins: Sequence[Path]
    cpus: int | None
    hides_gpus: bool
    _is_queued_again: bool = field(default=False, init=False)

    def __call__(self) -> NodeResult:
        """Do the node, from where an earlier job left it."""
        os.chdir(self.folder)
        if self.hides_gpus:
            os.environ[VISIBLE] = ""
        wait_passively()
        load_plugins(self.plugins)
        prepare_libraries(self.cpus or wanted_threads())
        result = do(pickle.loads(self.node), self.models)  # noqa: S301 - of the driver
        if self._is_queued_again:  # what stopped the node was the way out, and is no result
            os._exit(1)
        return result

    def checkpoint(self) -> Any:
        """The work of the job once it is queued again: the same, which resumes from its files."""
        from submitit.helpers import DelayedSubmission

        self._is_queued_again = True
        again = SlurmWork(
            self.node, self.models, self.folder, self.plugins, self.cpus, self.hides_gpus
        )
        return DelayedSubmission(again)

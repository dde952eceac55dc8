"""Trainings in several processes: the process that starts them, and what runs in each of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

_KINDS = {
    "whole": {},
    "FSDP2": {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"},
    "ZeRO-2": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"},
    "ZeRO-3": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
}


def train_together(jobs: dict[int, list[dict]], folder: Path) -> None:
    """Run trainings in several processes, one after the other.

    Args:
        jobs: By the number of processes. Each has the keys of `kdbench.train`, and `kind`, how the
            student is shared. With `stop`, it is interrupted in the step after that one.
        folder: For the list of the jobs.
    """
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs, default=str))
    done = subprocess.run(
        [sys.executable, __file__, str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def _fork(processes: int, jobs: list[dict]) -> None:
    """Do what torchrun does, by forks of a process that has imported torch already."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = []
    for rank in range(processes):
        child = os.fork()
        if not child:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            os.environ |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            _run(jobs)
            os._exit(0)
        children.append(child)
    for _ in range(processes):
        child, status = os.wait()
        children.remove(child)
        if status:
            for other in children:  # which would wait for it
                os.kill(other, signal.SIGKILL)
            sys.exit(f"a process of {processes} failed")


def _run(jobs: list[dict]) -> None:
    import kdbench

    for job in jobs:
        kind, stop = job.pop("kind"), job.pop("stop", None)
        _share_as(kind)
        paths = {key: Path(job[key]) for key in ("data", "out")}
        undo = _stop_after(stop)
        try:
            kdbench.train(**{**job, **paths})
        except KeyboardInterrupt:
            if stop is None:
                raise
        except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        finally:
            undo()


def _share_as(kind: str) -> None:
    from accelerate.state import AcceleratorState

    for variables in _KINDS.values():
        for name in variables:
            os.environ.pop(name, None)
    os.environ.update(_KINDS[kind])
    AcceleratorState._reset_state(reset_partial_state=True)


def _stop_after(step: int | None):
    """Interrupt all processes in the step after the given one; returns what undoes that."""
    from kdbench.training.trainer import DistillationTrainer

    train = DistillationTrainer.training_step

    def stop(self, *arguments):
        if step is not None and self.state.global_step >= step:
            raise KeyboardInterrupt
        return train(self, *arguments)

    DistillationTrainer.training_step = stop
    return lambda: setattr(DistillationTrainer, "training_step", train)


if __name__ == "__main__":
    import kdbench.distillation.fit  # noqa: F401 - once for all

    for number, trainings in json.loads(Path(sys.argv[1]).read_text()).items():
        _fork(int(number), trainings)

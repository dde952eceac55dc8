"""The process that speaks with Ray, and what a worker of Ray does for one node.

It is a process of its own because Ray ends the one that is connected when its head dies, prints
what it likes, and hangs when its own daemon dies. So the driver of `kdbench fill` outlives all of
that, and starts another broker.
"""

import os
import pickle
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kdbench.errors import reason_of
from kdbench.filling.gpus import VISIBLE
from kdbench.filling.work import NodeResult, do, prepare_libraries
from kdbench.registry.plugins import load_plugins
from kdbench.system.processes import Starter, end_with, this_process
from kdbench.system.threads import wait_passively

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_CHECKS = 3.0
_SECONDS_WITHOUT_HEAD = 15  # of a local cluster, whose head is on the same machine
_SMALLEST_STORE = 80 * 1024**2  # bytes; nodes pass nothing through Ray's memory
_SECONDS_TO_PROBE = 120.0


@dataclass(frozen=True)
class Start:
    """How to reach Ray, or to start it.

    Attributes:
        address: Address of a cluster; None to start one on this machine.
        cpus: CPUs of a started cluster.
        gpus: GPUs of a started cluster.
        log: File for what Ray prints.
        folder: Working folder of the nodes.
        token: File that every machine must see.
    """

    address: str | None
    cpus: int
    gpus: int
    log: Path
    folder: Path
    token: Path


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster, with all that it has.

    Attributes:
        host: Its name.
        cpus: Its CPUs, as Ray counts them.
        gpus: Its GPUs.
        memory: Its main memory for tasks in bytes.
        sees: Whether it sees the folder of the nodes; None if that was not tried.
    """

    host: str
    cpus: float
    gpus: float
    memory: float
    sees: bool | None = None


@dataclass(frozen=True)
class Job:
    """A node, and what a worker must know to do it.

    Attributes:
        key: Key of the node.
        node: The node, pickled, because it may be of a plug-in that the worker loads first.
        models: Folder of checkpoints and logs.
        plugins: Files of plug-ins.
        threads: Threads for the native code.
        cpus: CPUs to ask for.
        gpus: GPUs to ask for.
        hides_gpus: Whether the node must not see any GPU.
        memory: Main memory to ask for in bytes; None for none.
    """

    key: str
    node: bytes
    models: Path
    plugins: Sequence[Path]
    threads: int
    cpus: int
    gpus: float
    hides_gpus: bool = False
    memory: int | None = None


def run_job(job: Job, start: Start, broker: Starter) -> NodeResult:
    """Do a node in a worker of Ray."""
    _end_once_with(broker)
    if not start.token.exists():
        return NodeResult(job.key, unseen(socket.gethostname(), start.folder))
    os.chdir(start.folder)
    if job.hides_gpus:
        os.environ[VISIBLE] = ""
    wait_passively()
    load_plugins(job.plugins)
    prepare_libraries(job.threads)
    return do(pickle.loads(job.node), job.models)  # noqa: S301 - of the driver


def unseen(host: str, folder: Path) -> str:
    """What to say about a machine that does not share the disk."""
    return (
        f"executor=ray: {host} does not see {folder}: models=, results= and the working folder "
        "must be on a disk that all machines of the cluster share"
    )


_followed: set[Starter] = set()


def _end_once_with(broker: Starter) -> None:
    """End with the broker, if it is on this machine; Ray looks after the others."""
    if broker not in _followed:
        _followed.add(broker)
        end_with(broker)


def serve(connection: Connection, start: Start, driver: Starter) -> None:
    """Connect to Ray, say what it has, and run jobs until the driver says stop.

    The driver sends a `Job`, or None to stop. The broker sends a text if Ray cannot be reached, or
    a list of `Machine`; after that a `NodeResult` for each job that has ended.

    Args:
        connection: To the driver.
        start: How to reach Ray.
        driver: The process of `kdbench fill`, with which the broker ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt means
    with start.log.open("a", encoding="utf-8") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    end_with(driver)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # A task without GPUs: kdbench hides them itself.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if start.address is None:
        _keep_others_out()
    import ray

    try:
        _connect(ray, start)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - Ray raises all kinds
        connection.send(reason_of(error))
        return
    try:
        connection.send(_machines(ray, start))
        _serve_jobs(ray, connection, start)
    finally:
        ray.shutdown()


def _keep_others_out() -> None:
    """Let only this cluster's own processes in: Ray listens to the network, and runs what it gets.

    Ray knows tokens since 2.52. This one is on no disk.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _connect(ray: Any, start: Start) -> None:
    common = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    if start.address is not None:
        ray.init(address=start.address, namespace="kdbench", **common)
        return
    ray.init(
        address="local",
        num_cpus=start.cpus,
        num_gpus=start.gpus,
        include_dashboard=False,
        object_store_memory=_SMALLEST_STORE,
        _system_config={"gcs_rpc_server_reconnect_timeout_s": _SECONDS_WITHOUT_HEAD},
        **common,
    )


def _machines(ray: Any, start: Start) -> list[Machine]:
    """The machines; those of a cluster elsewhere are asked whether they see the shared disk."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    seen = {} if start.address is None else _probed(ray, alive, start.token)
    return [
        Machine(
            node["NodeManagerHostname"],
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
            node["Resources"].get("memory", 0.0),
            seen.get(node["NodeID"]),
        )
        for node in alive
    ]


def _probed(ray: Any, alive: Sequence[Mapping[str, Any]], token: Path) -> dict[str, bool]:
    """Whether each machine sees a file, for those that answer and can run nodes."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(_sees)
    asked = {}
    for node in alive:
        if node["Resources"].get("CPU"):
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = probe.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            asked[options.remote(token)] = node["NodeID"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS_TO_PROBE)
    return {asked[reference]: bool(ray.get(reference)) for reference in answered}


def _sees(token: Path) -> bool:
    return token.exists()


def _serve_jobs(ray: Any, connection: Connection, start: Start) -> None:
    has_gpus = any(node["Resources"].get("GPU") for node in ray.nodes())
    # On GPUs each node gets a new worker: one that has used some keeps memory, and looks no more.
    task = ray.remote(max_calls=1)(run_job) if has_gpus else ray.remote(run_job)
    here = this_process()
    running: dict[Any, str] = {}
    checked = time.monotonic()
    while True:
        while connection.poll(0 if running else _SECONDS_BETWEEN_LOOKS):
            job = connection.recv()
            if job is None:
                return
            options = task.options(
                num_cpus=job.cpus,
                num_gpus=job.gpus,
                memory=job.memory,
                max_retries=0,  # the driver counts them
                name=job.key,
            )
            running[options.remote(job, start, here)] = job.key
        for result in _ended(ray, running, start.address is None):
            connection.send(result)
        if time.monotonic() - checked > _SECONDS_BETWEEN_CHECKS:
            if not any(node["Alive"] for node in ray.nodes()):
                os._exit(1)  # a shutdown would wait for the daemon that has died
            checked = time.monotonic()


def _ended(ray: Any, running: dict[Any, str], is_alone: bool) -> Iterator[NodeResult]:
    """The results of the jobs that have ended.

    What ends with this machine's own daemon, or with the only machine, says nothing about a node:
    the broker ends too, and the driver gives the next one all that was running.
    """
    ended, _ = ray.wait(list(running), timeout=_SECONDS_BETWEEN_LOOKS) if running else ([], [])
    for reference in ended:
        key = running.pop(reference)
        try:
            yield ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # before the node began
            yield NodeResult(key, reason_of(error.cause))
        except ray.exceptions.TaskUnschedulableError as error:
            yield NodeResult(key, reason_of(error))
        except ray.exceptions.OutOfMemoryError:
            yield NodeResult(key, "Ray ended its worker: out of memory", died=True)
        except ray.exceptions.LocalRayletDiedError:
            os._exit(1)
        except ray.exceptions.NodeDiedError:
            if is_alone:
                os._exit(1)
            yield NodeResult(key, "its machine left the Ray cluster", died=True)
        except ray.exceptions.RayError as error:
            yield NodeResult(key, f"its worker died ({type(error).__name__})", died=True)

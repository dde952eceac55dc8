"""`kdbench speed`: a model's tokens per second and latency, measured and stored by load."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.checkpoint import (
    Checkpoint,
    disk_bytes,
    find_checkpoint,
    pick_device,
    read_config,
    served_model,
)
from kdbench.config import SpeedSettings
from kdbench.errors import InputError
from kdbench.generate import Backend, Options
from kdbench.generate.choice import BackendChoice, choose_backend
from kdbench.measuring.identity import checked_name
from kdbench.protocol import get_protocol
from kdbench.serving.timing import Clock, TimedRound, rounds_of, speed_of, time_load
from kdbench.store.speed_frame import speeds_frame, speeds_html
from kdbench.store.speeds import SpeedLoad, SpeedModel, SpeedRecord, read_speed, write_speed
from kdbench.system.environment import device_name, environment, git_state
from kdbench.system.progress import progress
from kdbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class SpeedMeasurement:
    """The outcome of `speed`.

    Attributes:
        records: The speed under each load, by the file that stores it.
        measured: Number of loads that this call measured.
    """

    records: Mapping[Path, SpeedRecord]
    measured: int

    def __repr__(self) -> str:
        return f"SpeedMeasurement({len(self.records)} loads, {self.measured} measured now)"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the speeds as a data frame: a row for each load, latencies in seconds."""
        return speeds_frame(self.records.values())

    def _repr_html_(self) -> str:
        return speeds_html(self.records.values())


@dataclass(frozen=True)
class SpeedSubject:
    """What is timed.

    Attributes:
        settings: Settings of the call.
        chosen: Backend of the settings.
        checkpoint: Checkpoint that generates.
        name: Name of the model in results.
        hardware: Name of the device.
    """

    settings: SpeedSettings
    chosen: BackendChoice
    checkpoint: Checkpoint
    name: str
    hardware: str

    def file(self, load: SpeedLoad) -> Path:
        """The file that stores the speed under a load."""
        identity = [self.checkpoint.sha256, self.settings.dtype, self.chosen.identity]
        digest = hashlib.sha256(json.dumps([*identity, self.hardware]).encode()).hexdigest()[:8]
        lengths = f"p{load.prompt_tokens}-n{load.new_tokens}-c{load.concurrency}"
        return self.settings.results / self.name / f"speed-{lengths}-{digest}.json"

    def loads(self) -> dict[Path, SpeedLoad]:
        """The loads of the settings, by the file that stores the speed under each."""
        return {self.file(load): load for load in _loads(self.settings)}


def find_subject(settings: SpeedSettings) -> SpeedSubject:
    """Find what is to be timed, and on which hardware; weights are not loaded.

    Raises:
        InputError: Model or settings have a fault that the user can fix.
    """
    chosen = choose_backend(settings.backend, settings.backend_options)
    checkpoint = _find(settings, chosen)
    name = settings.name or checked_name(checkpoint.name)
    hardware = "server" if chosen.is_served else device_name(pick_device(settings.device))
    return SpeedSubject(settings, chosen, checkpoint, name, hardware)


def measure_speed(settings: SpeedSettings, clock: Clock = time.perf_counter) -> SpeedMeasurement:
    """Measure how fast a model is under each load that is not stored yet.

    Args:
        settings: Model, loads and backend.
        clock: Clock that measures.

    Raises:
        InputError: Model or settings have a fault that the user can fix.
    """
    subject = find_subject(settings)
    loads = subject.loads()
    records = {} if settings.again else dict(stored_speeds(loads))
    missing = {path: load for path, load in loads.items() if path not in records}
    for path, record in _measured(subject, missing, clock):
        write_speed(path, record)
        records[path] = read_speed(path)
    return SpeedMeasurement({path: records[path] for path in loads}, len(missing))


def stored_speeds(loads: Mapping[Path, SpeedLoad]) -> Iterator[tuple[Path, SpeedRecord]]:
    """The speeds that are stored for the same number of requests and repeats."""
    for path, load in loads.items():
        if path.exists() and (record := read_speed(path)).load == load:
            yield path, record


def _loads(settings: SpeedSettings) -> list[SpeedLoad]:
    return [
        SpeedLoad(
            prompt_tokens=settings.prompt_tokens,
            new_tokens=settings.new_tokens,
            concurrency=concurrency,
            requests=-(-settings.requests // concurrency) * concurrency,
            repeats=settings.repeats,
        )
        for concurrency in settings.concurrency
    ]


def _find(settings: SpeedSettings, chosen: BackendChoice) -> Checkpoint:
    """The checkpoint of the settings.

    Raises:
        InputError: There is none, or prompt and response do not fit into it.
    """
    if chosen.is_served and "chat" in chosen.argument:
        raise InputError(
            f"backend={chosen.given}: prompts of a given length need the server's endpoint for "
            "completions; use backend=lm_eval:local-completions"
        )
    if chosen.is_served:
        return served_model(settings.model, chosen.identity)
    checkpoint = find_checkpoint(
        settings.model,
        settings.revision,
        settings.unsafe_pickle,
        trust_remote_code=settings.trust_remote_code,
    )
    folder = (checkpoint.base or checkpoint).path
    config = read_config(folder) if (folder / "config.json").is_file() else {}
    positions = config.get("max_position_embeddings")
    length = settings.prompt_tokens + settings.new_tokens
    if isinstance(positions, int) and length > positions:
        raise InputError(
            f"prompt_tokens={settings.prompt_tokens} and new_tokens={settings.new_tokens} do not "
            f"fit into the model's {positions} positions"
        )
    return checkpoint


def _measured(
    subject: SpeedSubject, loads: Mapping[Path, SpeedLoad], clock: Clock
) -> Iterator[tuple[Path, SpeedRecord]]:
    backend: Backend | None = None
    try:
        for path, load in loads.items():
            if backend is None or subject.chosen.is_served:  # whose client has one concurrency
                backend = _load(subject, load)
                path.parent.mkdir(parents=True, exist_ok=True)  # fails before the measurement
            doing, rounds = f"timing, {load.concurrency} at a time", load.repeats * rounds_of(load)
            with progress(subject.name, rounds, 0, "rounds", doing) as advance:
                repeats = time_load(backend, load, clock, advance)
            yield path, _record(subject, backend, load, repeats)
    finally:
        if backend is not None:
            backend.stop()


def _load(subject: SpeedSubject, load: SpeedLoad) -> Backend:
    settings, chosen = subject.settings, subject.chosen
    lengths = {"max_prompt_tokens": load.prompt_tokens, "max_new_tokens": load.new_tokens}
    clients = {"num_concurrent": load.concurrency} if chosen.is_served else {}
    options = Options(
        dtype=settings.dtype,
        device=settings.device,
        trust_remote_code=settings.trust_remote_code,
        argument=chosen.argument,
        engine={**chosen.engine, **clients},
        ignore_eos=True,
    )
    return chosen.kind(subject.checkpoint, get_protocol("greedy", lengths), options)


def _record(
    subject: SpeedSubject,
    backend: Backend,
    load: SpeedLoad,
    repeats: Sequence[Sequence[TimedRound]],
) -> SpeedRecord:
    facts, checkpoint, speed = backend.facts(), subject.checkpoint, speed_of(repeats)
    details = {"engine": facts.engine, "options": subject.chosen.recorded}
    rounds = [one for of_repeat in repeats for one in of_repeat]
    return SpeedRecord(
        model=SpeedModel(
            name=subject.name,
            sha256=None if checkpoint.served else checkpoint.sha256,
            revision=checkpoint.revision,
            parameters=facts.parameters,
            dtype=facts.dtype,
            disk_bytes=disk_bytes(checkpoint),
        ),
        backend={"name": subject.settings.backend, **{k: v for k, v in details.items() if v}},
        hardware=subject.hardware,
        load=load,
        new_tokens=sum(r.tokens for r in rounds) / sum(len(r.latencies) for r in rounds),
        tokens_per_second=speed.tokens_per_second,
        latency_p50=speed.latency_p50,
        latency_p95=speed.latency_p95,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment(),
        git=git_state(),
        kdbench_version=__version__,
    )

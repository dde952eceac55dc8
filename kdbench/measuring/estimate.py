"""How long generation will take, from what earlier runs recorded; no speed is assumed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kdbench.errors import InputError
from kdbench.store.packed_folder import open_run
from kdbench.store.places import run_folders_in
from kdbench.system.environment import environment
from kdbench.text import duration

_UNKNOWN = "unknown until the first batch: no such run has been timed on this machine"


class Load(NamedTuple):
    """What is to be generated.

    Attributes:
        samples: Number of samples.
        max_new_tokens: Length limit of a response, in tokens.
        parameters: Number of parameters of the model; None if unknown.
        backend: Value of `backend=`.
        dtype: Precision of the weights.
    """

    samples: int
    max_new_tokens: int
    parameters: int | None
    backend: str
    dtype: str


class _Timed(NamedTuple):
    """What an earlier run generated."""

    max_new_tokens: int
    samples: int
    tokens: int
    seconds: float


def estimated_time(load: Load, results: Path) -> str:
    """An estimate of the time to generate samples, with its source.

    Args:
        load: What is to be generated.
        results: Folder of results, whose runs are searched for those of models of this size on
            this machine.
    """
    if not load.samples:
        return "nothing to generate"
    timed = [] if load.parameters is None else list(_timed(load, results))
    same = [run for run in timed if run.max_new_tokens == load.max_new_tokens]
    if same:
        samples, seconds = sum(run.samples for run in same), sum(run.seconds for run in same)
        return (
            f"{_about(load.samples * seconds / samples)} to generate, from {samples} "
            "timed samples of models of this size on this machine"
        )
    tokens, seconds = sum(run.tokens for run in timed), sum(run.seconds for run in timed)
    if not tokens:
        return _UNKNOWN
    most = load.samples * load.max_new_tokens
    return (
        f"{_about(most * seconds / tokens)} to generate at most, if every response has "
        f"{load.max_new_tokens} tokens, from {tokens} timed tokens of models of this size on "
        "this machine"
    )


def _about(seconds: float) -> str:
    return "under 1 s" if seconds < 1 else f"about {duration(seconds)}"


def _timed(load: Load, results: Path) -> Iterator[_Timed]:
    """What earlier runs of models of the same size took on a machine like this one."""
    machine = environment()
    for folder in run_folders_in(results):
        try:
            run = open_run(folder).read_whole_run()
        except (InputError, OSError):  # it only serves an estimate
            continue
        if _is_like(run, load, machine):
            tasks = run["tasks"].values()
            yield _Timed(
                run["protocol"]["max_new_tokens"],
                *(sum(task.get(f"generated_{key}", 0) for task in tasks) for key in _MEASURES),
            )


_MEASURES = ("samples", "tokens", "seconds")


def _is_like(run: Mapping[str, Any], load: Load, machine: Mapping[str, Any]) -> bool:
    """Whether a run generated with a model of this size, in the same way, on such a machine."""
    model, recorded = run["model"], run.get("environment") or {}
    return (
        model.get("parameters") == load.parameters
        and model.get("dtype") == load.dtype
        and run["backend"].get("name") == load.backend
        and isinstance(run["protocol"].get("max_new_tokens"), int)
        and all(recorded.get(key) == machine[key] for key in ("gpus", "threads", "platform"))
        and any(task.get("generated_samples") for task in run["tasks"].values())
    )

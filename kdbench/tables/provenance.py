"""Where a measured row comes from: its runs, protocol, seeds, dates, machine and commands."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.store.command import command_of, shareable
from kdbench.store.runs import StoredRun
from kdbench.text import counted

_OF_SEED = {"seed", "out", "model", "name", "undistilled", "undistilled_name"}
"""Keys in which the commands of a recipe's trainings differ; the first may be a floor."""


@dataclass(frozen=True)
class Provenance:
    """What leads from a row to its measurement.

    Attributes:
        runs: Folders of its runs, relative to the results: one, or one of each training seed.
        checkpoints: SHA-256 of the checkpoints of its runs; empty text where it is unknown.
        protocol: Name of the protocol.
        limit: Number of prompts of each task at most; None for all.
        seeds: Sampling seeds.
        training_seeds: Seeds of the trainings; empty if they are unknown.
        created: When its first run began.
        machine: Machines that measured it.
        kdbench_version: Versions of kdbench that measured it.
        git: Commit of the working folder, `+ changes` if files were changed.
        commands: Command lines that make each run.
        recorded: Whether the commands are those that ran; else they follow from the record, with
            paths to fill in.
    """

    runs: tuple[str, ...]
    checkpoints: tuple[str, ...]
    protocol: str
    limit: int | None
    seeds: tuple[int, ...]
    training_seeds: tuple[int, ...]
    created: str
    machine: str
    kdbench_version: str
    git: str
    commands: tuple[tuple[str, ...], ...]
    recorded: bool

    def facts(self) -> Iterator[tuple[str, str]]:
        """Names and texts of what is known, without the commands."""
        yield "run" if len(self.runs) == 1 else "runs", ", ".join(self.runs)
        limit = "" if self.limit is None else f", first {counted(self.limit, 'prompt')} per task"
        yield "protocol", f"{self.protocol}{limit}"
        if self.seeds:
            yield "sampling seeds", numbers(self.seeds)
        if self.training_seeds:
            plural = "s" if len(self.training_seeds) > 1 else ""
            yield f"training seed{plural}", numbers(self.training_seeds)
        measured = [self.created, self.machine and f"on {self.machine}"]
        if any(measured):
            yield "measured", " ".join(filter(None, measured))
        if self.kdbench_version:
            yield "kdbench", self.kdbench_version
        if self.git:
            yield "git", self.git

    @property
    def line(self) -> str:
        """The facts in one line: `run GKD/minillm-ae09a0d0; protocol minillm; …`."""
        return "; ".join(f"{name} {text}" for name, text in self.facts())

    @property
    def all_commands(self) -> tuple[str, ...]:
        """The commands of all runs, each once."""
        return tuple(dict.fromkeys(line for lines in self.commands for line in lines))

    @property
    def shown_commands(self) -> tuple[str, ...]:
        """The commands to show.

        Those of trainings that differ in nothing but their seed are shown once, and those that were
        not recorded say that paths are to fill in.
        """
        if not self.recorded:
            return tuple(f"{command}  # paths to fill in" for command in self.all_commands)
        alike = {tuple(map(_without_seed, lines)) for lines in self.commands}
        others = numbers(self.training_seeds[1:])
        if not others or len(alike) > 1 or len(self.training_seeds) < len(self.commands):
            return self.all_commands
        return tuple(f"{line}  # likewise with seed={others}" for line in self.commands[0])


def provenance(run: StoredRun) -> Provenance:
    """Where a row comes from.

    Args:
        run: Its run, which may be the mean of several trainings.
    """
    runs = run.trainings or (run,)
    protocol = run.record["protocol"]
    commands = [recorded_commands(one) for one in runs]
    imported = any(one.record.get("imported") for one in runs)  # which no command of ours makes
    recorded = all(commands) or imported
    if not recorded:
        commands = [list(filter(None, [command_of(one, Path(one.folder))])) for one in runs]
    return Provenance(
        runs=tuple(one.folder for one in runs),
        checkpoints=tuple(str(one.record["model"].get("sha256") or "") for one in runs),
        protocol=str(protocol["name"]),
        limit=run.record["limit"],
        seeds=tuple(protocol.get("seeds") or ()),
        training_seeds=tuple(seed for one in runs if (seed := one.training_seed) is not None),
        created=min(str(one.record.get("created") or "") for one in runs),
        machine=_joined(machine_of(one) for one in runs),
        kdbench_version=_joined(str(one.record.get("kdbench_version") or "") for one in runs),
        git=_joined(_git(one.record.get("git") or {}) for one in runs),
        commands=tuple(map(tuple, commands)),
        recorded=recorded,
    )


def _without_seed(line: str) -> tuple[str, ...]:
    """The words of a command that do not name its training seed, or a folder or run of it."""
    words = shlex.split(line)
    return tuple(word for word in words if word.partition("=")[0] not in _OF_SEED)


def recorded_commands(run: StoredRun) -> list[str]:
    """The command lines that made a run, without folders of the machine that ran them.

    A run of before they were recorded has none.

    Args:
        run: A single run.
    """
    return [shlex.join(shareable(words)) for words in run.record.get("commands") or ()]


def machine_of(run: StoredRun) -> str:
    """The GPUs that measured a run, or `CPU`; empty if they are unknown.

    Args:
        run: A single run.
    """
    return gpus_name((run.record.get("environment") or {}).get("gpus"))


def gpus_name(gpus: Sequence[str] | None) -> str:
    """The names of GPUs, each once; `CPU` for none, and nothing if they are unknown."""
    return ", ".join(dict.fromkeys(gpus)) if gpus else "CPU" if gpus == [] else ""


def numbers(values: Sequence[int]) -> str:
    """Numbers as a list: `10, 20, 30`; more than eight as `1 … 16 (16)`."""
    if len(values) <= 8:
        return ", ".join(map(str, values))
    return f"{values[0]} … {values[-1]} ({len(values)})"


def _git(state: Mapping[str, Any]) -> str:
    commit = str(state.get("commit") or "")[:12]
    return f"{commit} + changes" if commit and state.get("dirty") else commit


def _joined(texts: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, texts)))

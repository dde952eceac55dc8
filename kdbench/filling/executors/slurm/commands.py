"""The commands of Slurm."""

import subprocess

from kdbench.errors import InputError

_SECONDS_OF_COMMAND = 120


def asked(command: list[str]) -> str:
    """What a command of Slurm prints.

    Raises:
        InputError: It fails.
    """
    said = said_by(command)
    if said is None:
        raise InputError(
            f"executor=slurm: '{' '.join(command)}' fails: is Slurm's controller running?"
        )
    return said


def said_by(command: list[str]) -> str | None:
    """What a command of Slurm prints; None if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of Slurm, not of a shell
            command, capture_output=True, text=True, check=False, timeout=_SECONDS_OF_COMMAND
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

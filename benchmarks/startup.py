"""The wall time of `kdbench --help` in fresh processes, compared with `python -c pass`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.timing import in_turns

ROUNDS = 10
SECONDS = 0.3


def kdbench_command() -> list[str]:
    """The console script of this Python environment, else `python -m kdbench`."""
    script = Path(sys.executable).parent / "kdbench"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "kdbench"]


def fresh(command: list[str]) -> Callable[[], None]:
    """A function that runs a command in a fresh process and discards its output."""

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def run() -> Outcome:
    """Time ten fresh processes of each in turns, after one warm-up."""
    commands = {"pass": [sys.executable, "-c", "pass"], "help": [*kdbench_command(), "--help"]}
    runs = {name: fresh(command) for name, command in commands.items()}
    for warm_up in runs.values():
        warm_up()
    timed = in_turns(runs, ROUNDS)
    seconds = timed.median("help")
    row = BenchmarkRow(
        "kdbench --help, fresh process",
        f"{timed.median('pass'):.3f} s (python -c pass)",
        f"{seconds:.3f} s, slowest {max(timed.seconds['help']):.3f} s",
        f"{timed.ratio('pass', 'help'):.2f}",
        timed.spread("pass", "help"),
        target(f"≤ {SECONDS} s", seconds <= SECONDS),
    )
    return Outcome("fresh processes", (row,))

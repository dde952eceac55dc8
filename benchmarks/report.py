"""Rows of benchmarks, and their sections in RESULTS.md."""

import math
import os
import platform
import re
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEADER = ("what", "peer", "kdbench", "ratio", "spread", "target")
_PACKAGES = ("torch", "transformers", "trl", "lm_eval", "rouge_score", "rapidfuzz")
_INTRO = """# Benchmarks

This page reports how fast kdbench is, how much memory it needs and how exact it is, compared with
other tools.

`python -m benchmarks --write` produced it. The peer and kdbench take turns (A B A B …), in one
process or in a loop of fresh processes, and times are medians. The ratio is the peer's time divided
by kdbench's, so kdbench is faster where it is above 1. The spread is the smallest and largest ratio
of a single round. [How to run the benchmarks, and why some targets are missed](README.md).
"""


@dataclass(frozen=True)
class BenchmarkRow:
    """One line of a benchmark.

    Attributes:
        what: What is measured.
        peer: Figure of the peer.
        kdbench: Figure of kdbench.
        ratio: Ratio of the two.
        spread: Spread of the ratio over the rounds.
        target: The target, and whether it is met.
    """

    what: str
    peer: str
    kdbench: str
    ratio: str = ""
    spread: str = ""
    target: str = ""

    def cells(self) -> tuple[str, ...]:
        """The cells of the line, in the order of `HEADER`."""
        return (self.what, self.peer, self.kdbench, self.ratio, self.spread, self.target)


@dataclass(frozen=True)
class Outcome:
    """The result of a benchmark.

    RESULTS.md has a section for each benchmark, model, data and GPU.

    Attributes:
        on: Model and data.
        rows: Lines, in order.
        gpu: GPU of the models; empty for the CPU.
    """

    on: str
    rows: tuple[BenchmarkRow, ...]
    gpu: str = ""

    def title(self, name: str) -> str:
        """The heading of the section.

        Args:
            name: Name of the benchmark.
        """
        return f"{name} ({self.on}{self.gpu and f', {self.gpu}'})"


def target(aim: str, met: bool) -> str:
    """A target as text, such as `≥ 40: met` or `≥ 40: MISSED`."""
    return f"{aim}: {'met' if met else 'MISSED'}"


def half_width(rate: float, trials: int) -> float:
    """Half the width of the 95 % interval of a share of the trials; above 0 even for 0 and 1.

    Args:
        rate: The share.
        trials: Number of trials.
    """
    return 1.96 * math.sqrt(max(rate * (1 - rate), 0.25 / trials) / trials)


def show(row: BenchmarkRow) -> BenchmarkRow:
    """Print a row on stderr once it is measured, so that an interrupted benchmark shows it."""
    print(" | ".join(row.cells()), file=sys.stderr, flush=True)
    return row


def deadline() -> float:
    """The monotonic time at which KDBENCH_BENCH_SECONDS from now have passed, else infinity."""
    return time.monotonic() + float(os.environ.get("KDBENCH_BENCH_SECONDS", math.inf))


def write(name: str, outcome: Outcome) -> None:
    """Write a section of RESULTS.md; the other sections stay as they are."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = {}
    for section in re.split(r"^## ", old, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        sections[title] = body.strip()
    sections[outcome.title(name)] = _section(outcome)
    text = "\n\n".join(f"## {title}\n\n{sections[title]}" for title in sorted(sections))
    RESULTS.write_text(f"{_INTRO}\n{text}\n", encoding="utf-8")


def _section(outcome: Outcome) -> str:
    lines = [_environment(), "", _line(HEADER), _line(("---",) * len(HEADER))]
    return "\n".join([*lines, *(_line(row.cells()) for row in outcome.rows)])


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _environment() -> str:
    versions = {package: _version(package) for package in _PACKAGES}
    packages = ", ".join(f"{package} {number}" for package, number in versions.items() if number)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {_cpu()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {packages}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine()

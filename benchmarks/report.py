"""The rows of benchmarks, and RESULTS.md: a section for each benchmark and what it ran on."""

import os
import platform
import re
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
class Row:
    """One line of a benchmark.

    Attributes:
        what: is measured.
        peer: its figure.
        kdbench: our figure.
        ratio: of the two.
        spread: of the ratio over the rounds.
        target: what is to be reached, and whether it is.
    """

    what: str
    peer: str
    kdbench: str
    ratio: str = ""
    spread: str = ""
    target: str = ""

    def cells(self) -> tuple[str, ...]:
        """In the order of `HEADER`."""
        return (self.what, self.peer, self.kdbench, self.ratio, self.spread, self.target)


@dataclass(frozen=True)
class Outcome:
    """What a benchmark returns.

    Attributes:
        on: model and data; rows on another model or other data are kept beside these.
        rows: in order.
        gpu: where the models ran, empty for the CPU; rows of another one are kept beside these.
    """

    on: str
    rows: tuple[Row, ...]
    gpu: str = ""

    def title(self, name: str) -> str:
        """The heading under the benchmark's name."""
        return f"{name} ({self.on}{self.gpu and f', {self.gpu}'})"


def target(words: str, met: bool) -> str:
    """`≥ 40: met`, or `≥ 40: MISSED`."""
    return f"{words}: {'met' if met else 'MISSED'}"


def write(name: str, outcome: Outcome) -> None:
    """Put a section into RESULTS.md; the other sections stay."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    parts = re.split(r"^## ", old, flags=re.MULTILINE)[1:]
    sections = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
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
    packages = ", ".join(f"{package} {found}" for package, found in versions.items() if found)
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
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()

"""How `kdbench score` and `table` grow: 100, 1,000 and 10,000 documents, five texts each.

Documents are drawn from the toy corpus, texts are other documents' references: no model takes part.
Three commands run as fresh processes: `score` of a file of texts, all metrics that need no model;
`score run=` of the run that it left, which reads and scores it again; and the `table` of it. Time
is the process's wall time, memory its highest resident set, as the system counts it (Linux, macOS).
Imports and the load of the task do not grow and are in both, so what one document more takes is
said beside. A size is compared with a tenth of it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.report import Outcome, Row, target
from benchmarks.startup import kdbench_command
from kdbench.toy.content import DOLLY
from kdbench.toy.corpus import draw_example

SIZES = (100, 1_000, 10_000)
SEEDS = (10, 20, 30, 40, 50)
ROUNDS = 3
LINEAR, FLAT = 11.0, 1.1  # ten times the documents: at most so many times the seconds, the bytes


@dataclass(frozen=True)
class Cost:
    """Of one process.

    Attributes:
        seconds: wall time.
        bytes: highest resident set.
    """

    seconds: float
    bytes: int


def run() -> Outcome:
    """Two rows for each command and step of size."""
    costs: dict[str, dict[int, list[Cost]]] = {}
    for _ in range(ROUNDS):
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                for name, cost in _measure(Path(folder), size).items():
                    costs.setdefault(name, {}).setdefault(size, []).append(cost)
    rows = tuple(row for name, by_size in costs.items() for row in _rows(name, by_size))
    return Outcome(f"toy corpus, {len(SEEDS)} seeds", rows)


def _rows(name: str, by_size: dict[int, list[Cost]]) -> Iterator[Row]:
    for small, large in pairwise(SIZES):
        few, many = by_size[small], by_size[large]
        seconds = [median(one.seconds for one in each) for each in (few, many)]
        size = [median(one.bytes for one in each) / 2**20 for each in (few, many)]
        what = f"kdbench {name}, {small:,} → {large:,} documents"
        longer, larger = seconds[1] / seconds[0], size[1] / size[0]
        slower = (seconds[1] - seconds[0]) / (large - small) * 1e3
        more = (size[1] - size[0]) / (large - small) * 2**10
        yield Row(
            f"{what}: time",
            f"{seconds[0]:.2f} s ({small:,})",
            f"{seconds[1]:.2f} s, ×{longer:.2f}; {slower:.2f} ms per additional document",
            f"{1 / longer:.2f}",
            _spread([a.seconds / b.seconds for a, b in zip(few, many, strict=True)]),
            target(f"≤ ×{LINEAR:g}", longer <= LINEAR),
        )
        yield Row(
            f"{what}: peak memory",
            f"{size[0]:.0f} MiB ({small:,})",
            f"{size[1]:.0f} MiB, ×{larger:.2f}; {more:.1f} KiB per additional document",
            f"{1 / larger:.2f}",
            _spread([a.bytes / b.bytes for a, b in zip(few, many, strict=True)]),
            target(f"≤ ×{FLAT:g}", larger <= FLAT),
        )


def _spread(ratios: list[float]) -> str:
    return f"{min(ratios):.3g}–{max(ratios):.3g}, {len(ratios)} rounds"


def _measure(folder: Path, size: int) -> dict[str, Cost]:
    """A file of texts, the run that it left, and the table of that."""
    _write(folder, size)
    texts, results = folder / "texts.jsonl", folder / "results"
    words = ["score", f"data={folder}"]
    first = _cost([*words, f"samples={texts}", "task=dolly", f"results={results}"])
    (run_file,) = results.glob("*/*/run.json")
    again = _cost([*words, f"run={run_file.parent}"])
    drawn = _cost(["table", f"results={results}", "tasks=dolly", f"out={folder / 'table.csv'}"])
    return {"score samples=": first, "score run=": again, "table": drawn}


def _write(folder: Path, size: int) -> None:
    """A set of so many documents, and five texts for each."""
    rng = random.Random(size)
    examples = [draw_example(rng, DOLLY) for _ in range(size)]
    rows = [
        {
            "id": f"{number:05d}",
            "instruction": one.instruction,
            "input": one.input,
            "output": list(one.references),
        }
        for number, one in enumerate(examples)
    ]
    texts = [
        {"id": row["id"], "seed": seed, "output": rng.choice(examples).references[0]}
        for row in rows
        for seed in SEEDS
    ]
    for file, lines in (("dolly/test.jsonl", rows), ("texts.jsonl", texts)):
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _cost(words: list[str]) -> Cost:
    """Run kdbench in a fresh process, its output thrown away."""
    start = time.perf_counter()
    process = subprocess.Popen([*kdbench_command(), *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit)

"""How the cost of `kdbench score` and `table` grows from 100 to 10,000 documents of five texts.

Documents are drawn from the toy corpus, and texts are references of other documents, so no model is
needed. Three commands run in fresh processes: `score samples=` on a file of texts, with all metrics
that need no model; `score run=` on the resulting run, which reads and scores it again; and `table`
on that run. Time is the wall time of the process, and memory its highest resident set as the system
counts it (Linux, macOS). Each size is compared with a tenth of it. Imports and loading the task
cost the same at every size, so a row also gives the cost per additional document.
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

from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.startup import kdbench_command
from kdbench.toy.content import DOLLY
from kdbench.toy.corpus import draw_example

SIZES = (100, 1_000, 10_000)
SEEDS = (10, 20, 30, 40, 50)
ROUNDS = 3
LINEAR, FLAT = 11.0, 1.1  # maximum factors of time and memory for ten times the documents


@dataclass(frozen=True)
class Cost:
    """The cost of a process.

    Attributes:
        seconds: Wall time.
        bytes: Highest resident set.
    """

    seconds: float
    bytes: int


def run() -> Outcome:
    """Measure time and memory of each command at each size."""
    costs: dict[str, dict[int, list[Cost]]] = {}
    for _ in range(ROUNDS):
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                for name, cost in _measure(Path(folder), size).items():
                    costs.setdefault(name, {}).setdefault(size, []).append(cost)
    rows = tuple(row for name, by_size in costs.items() for row in _rows(name, by_size))
    return Outcome(f"toy corpus, {len(SEEDS)} seeds", rows)


def _rows(name: str, by_size: dict[int, list[Cost]]) -> Iterator[BenchmarkRow]:
    for small, large in pairwise(SIZES):
        few, many = by_size[small], by_size[large]
        seconds = [median(cost.seconds for cost in costs) for costs in (few, many)]
        memory = [median(cost.bytes for cost in costs) / 2**20 for costs in (few, many)]
        what = f"kdbench {name}, {small:,} → {large:,} documents"
        longer, larger = seconds[1] / seconds[0], memory[1] / memory[0]
        per_document = (seconds[1] - seconds[0]) / (large - small) * 1e3
        more = (memory[1] - memory[0]) / (large - small) * 2**10
        yield BenchmarkRow(
            f"{what}: time",
            f"{seconds[0]:.2f} s ({small:,})",
            f"{seconds[1]:.2f} s, ×{longer:.2f}; {per_document:.2f} ms per additional document",
            f"{1 / longer:.2f}",
            _spread([a.seconds / b.seconds for a, b in zip(few, many, strict=True)]),
            target(f"≤ ×{LINEAR:g}", longer <= LINEAR),
        )
        yield BenchmarkRow(
            f"{what}: peak memory",
            f"{memory[0]:.0f} MiB ({small:,})",
            f"{memory[1]:.0f} MiB, ×{larger:.2f}; {more:.1f} KiB per additional document",
            f"{1 / larger:.2f}",
            _spread([a.bytes / b.bytes for a, b in zip(few, many, strict=True)]),
            target(f"≤ ×{FLAT:g}", larger <= FLAT),
        )


def _spread(ratios: list[float]) -> str:
    return f"{min(ratios):.3g}–{max(ratios):.3g}, {len(ratios)} rounds"


def _measure(folder: Path, size: int) -> dict[str, Cost]:
    """Costs of scoring a file of texts, scoring the resulting run again, and drawing its table."""
    _write(folder, size)
    texts, results = folder / "texts.jsonl", folder / "results"
    score = ["score", f"data={folder}"]
    first = _cost([*score, f"samples={texts}", "task=dolly", f"results={results}"])
    (run_file,) = results.glob("*/*/run.json")
    again = _cost([*score, f"run={run_file.parent}"])
    drawn = _cost(["table", f"results={results}", "tasks=dolly", f"out={folder / 'table.csv'}"])
    return {"score samples=": first, "score run=": again, "table": drawn}


def _write(folder: Path, size: int) -> None:
    """Write a data set of a number of documents, and five texts for each."""
    rng = random.Random(size)
    examples = [draw_example(rng, DOLLY) for _ in range(size)]
    rows = [
        {
            "id": f"{number:05d}",
            "instruction": example.instruction,
            "input": example.input,
            "output": list(example.references),
        }
        for number, example in enumerate(examples)
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


def _cost(arguments: list[str]) -> Cost:
    """Run kdbench in a fresh process and discard its output."""
    start = time.perf_counter()
    process = subprocess.Popen([*kdbench_command(), *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * unit)

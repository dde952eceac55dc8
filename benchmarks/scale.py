"""The cost of each verb that reads or writes results, from ten thousand to a million samples.

Samples are texts of the toy corpus, five seeds a document, so no model is needed. Every verb runs
in a fresh process, once a size: its processor time and its highest resident set are counted by the
system (Linux, macOS). Two files of texts are scored with all metrics that need no model; the
results are then read by the other verbs. A last row draws the table of 5,000 results that have all
metrics, right after they were written and once more.

`KDBENCH_SCALE_SAMPLES=10000,100000` chooses the sizes, and `KDBENCH_SCALE_VERBS` the verbs.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.report import BenchmarkRow, Outcome, show, target
from benchmarks.startup import kdbench_command
from benchmarks.table import write_results
from kdbench.toy.content import DOLLY
from kdbench.toy.corpus import draw_example

SIZES = tuple(map(int, os.environ.get("KDBENCH_SCALE_SAMPLES", "10000,100000,1000000").split(",")))
SEEDS = (10, 20, 30, 40, 50)
RUNS, DOCUMENTS = 1000, 100  # of the many results: five tasks a run
TABLE_SECONDS = 2.0
_READY = "Ctrl-C"  # what `kdbench view` prints once it listens


@dataclass(frozen=True)
class Cost:
    """The cost of a process.

    Attributes:
        seconds: Processor time, user and system.
        wall: Wall time in seconds.
        bytes: Highest resident set.
    """

    seconds: float
    wall: float
    bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.bytes / 2**20:.0f} MiB"


def run() -> Outcome:
    """Measure every verb at every size, and the table of many results."""
    costs: dict[str, dict[int, Cost]] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for name, cost in _measure(Path(folder), size):
                costs.setdefault(name, {})[size] = cost
                print(f"{size:,} {name}: {cost}", file=sys.stderr, flush=True)
    rows = [row for name, by_size in costs.items() for row in _rows(name, by_size)]
    return Outcome(f"toy corpus, {len(SEEDS)} seeds", (*rows, *_many_results()))


def _rows(name: str, by_size: dict[int, Cost]) -> Iterator[BenchmarkRow]:
    for small, large in pairwise(by_size):
        few, many = by_size[small], by_size[large]
        more = (many.bytes - few.bytes) / (large - small)
        yield BenchmarkRow(
            f"kdbench {name}: {small:,} → {large:,} samples",
            str(few),
            f"{many}; {more:.0f} bytes per additional sample",
            f"{few.seconds / many.seconds:.3f}",
        )


def _measure(folder: Path, size: int) -> Iterator[tuple[str, Cost]]:
    """Costs of the verbs, in an order in which each finds what it reads."""
    write_texts(folder, size // len(SEEDS))
    results, table = folder / "results", folder / "table.csv"
    wanted = os.environ.get("KDBENCH_SCALE_VERBS", "").split(",")
    score = ["score", f"data={folder}", "task=dolly", f"results={results}"]
    yield "score samples=", _cost([*score, f"samples={folder / 'old.jsonl'}"])
    again = [*score, f"samples={folder / 'new.jsonl'}"]
    common = [f"results={results}"]
    verbs = {
        "score samples=, another file": again,
        "score run=": ["score", f"data={folder}", "run=old", *common],
        "table": ["table", *common, "tasks=dolly", f"out={table}"],
        "compare": ["compare", "old", "new", *common],
        "regress": ["regress", "baseline=old", "run=new", *common],
        "ls": ["ls", "runs", *common],
        "show": ["show", "old", *common],
        "report": ["report", f"out={folder / 'report'}", f"runs={folder / 'runs'}", *common],
    }
    for name, arguments in verbs.items():
        if wanted == [""] or name in wanted or arguments is again:
            # A comparison of different texts may find a regression: 1.
            yield name, _cost(arguments, (0, 1) if name in ("compare", "regress") else (0,))
    if wanted == [""] or "view" in wanted:
        view = ["view", "port=0", f"runs={folder / 'runs'}", *common]
        yield "view, until it listens", _cost(view, (0, 130), until=_READY)


def write_texts(folder: Path, documents: int) -> None:
    """Write a data set of a number of documents, and two files with five texts for each."""
    rng = random.Random(documents)
    (folder / "dolly").mkdir(parents=True)
    pool = [draw_example(rng, DOLLY) for _ in range(min(documents, 20_000))]
    with (
        (folder / "dolly" / "test.jsonl").open("w", encoding="utf-8") as data,
        (folder / "old.jsonl").open("w", encoding="utf-8") as old,
        (folder / "new.jsonl").open("w", encoding="utf-8") as new,
    ):
        for number in range(documents):
            example = pool[number % len(pool)]
            row = {
                "id": f"{number:06d}",
                "instruction": f"{example.instruction} ({number})",
                "input": example.input,
                "output": list(example.references),
            }
            data.write(json.dumps(row) + "\n")
            for seed in SEEDS:
                for file in (old, new):
                    output = rng.choice(pool).references[0]
                    line = {"id": row["id"], "seed": seed, "output": output}
                    file.write(json.dumps(line) + "\n")


def _many_results() -> Iterator[BenchmarkRow]:
    """The table of 5,000 results with all metrics, in a fresh process each time."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        write_results(results, RUNS, DOCUMENTS)
        size = sum(file.stat().st_size for file in results.rglob("*.json")) / 1e6
        arguments = ["table", f"results={results}", f"out={Path(folder) / 'table.csv'}"]
        first, later = _cost(arguments), min((_cost(arguments) for _ in range(3)), key=_wall)
    yield show(
        BenchmarkRow(
            f"kdbench table: {5 * RUNS:,} results with all metrics, {size:.0f} MB",
            f"first: {first.wall:.2f} s, {first}",
            f"again: {later.wall:.2f} s, {later}",
            target=target(f"≤ {TABLE_SECONDS:g} s, first", first.wall <= TABLE_SECONDS),
        )
    )


def _wall(cost: Cost) -> float:
    return cost.wall


def _cost(arguments: Sequence[str], statuses: Sequence[int] = (0,), until: str = "") -> Cost:
    """Run kdbench in a fresh process; with `until`, interrupt it once it has printed that."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        output = subprocess.PIPE if until else subprocess.DEVNULL
        process = subprocess.Popen(
            [*kdbench_command(), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT if until else errors,
        )
        if until and process.stdout is not None:
            while (line := process.stdout.readline()) and until.encode() not in line:
                pass
            process.terminate()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in statuses:
            errors.seek(0)
            raise RuntimeError(f"kdbench {' '.join(arguments)}: {errors.read().decode()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit)

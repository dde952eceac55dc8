"""How the cost of opening a teacher cache and of looking up texts grows from 1,000 to 1,000,000.

The texts are random: 4 tokens and the top 8 each. A fresh process opens the cache, looks up 10,000
texts that it has and 10,000 that it has not, and reads 1,000. Memory is what the process has grown
by since its imports, at its highest resident set (Linux alone counts it). Each size is compared
with a tenth of it.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.report import BenchmarkRow, Outcome, show, target

SIZES = (1_000, 10_000, 100_000, 1_000_000)
TEXTS_OF_FILE = 2_000
FOUND, READ = 10_000, 1_000
MOST_MIB, MOST_MICROSECONDS = 100, 50


def run() -> Outcome:
    """Measure the time and the memory of each size, with the stored index and without."""
    costs = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            costs[size] = _costs(Path(folder), size)
    rows = tuple(row for pair in pairwise(SIZES) for row in _rows(*pair, costs))
    return Outcome("random texts", rows)


def _rows(small: int, large: int, costs: dict[int, dict[str, float]]) -> Iterator[BenchmarkRow]:
    few, many = costs[small], costs[large]
    for what, unit, most in (
        ("open", "ms", None),
        ("open without its index", "ms", None),
        ("look up a text", "µs", MOST_MICROSECONDS),
        ("look up a text that is not there", "µs", MOST_MICROSECONDS),
        ("read a text", "µs", None),
        ("memory", "MiB", MOST_MIB),
    ):
        aim = "" if most is None else target(f"≤ {most} {unit}", many[what] <= most)
        before, after = (f"{cost[what]:.1f} {unit}" for cost in (few, many))
        yield show(BenchmarkRow(f"{what}, {small:,} → {large:,}", before, after, target=aim))


def _costs(folder: Path, size: int) -> dict[str, float]:
    from kdbench.scores.cache import TopKCache
    from kdbench.scores.merging import tidy

    cache = TopKCache(folder)
    for start in range(0, size, TEXTS_OF_FILE):
        _write(cache, range(start, min(start + TEXTS_OF_FILE, size)))
    without = _measured(folder, size)["open"]
    tidy(cache)
    return {**_measured(folder, size), "open without its index": without}


def _measured(folder: Path, size: int) -> dict[str, float]:
    code = f"from benchmarks.teacher_cache import measure; measure({str(folder)!r}, {size})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def measure(folder: str, size: int) -> None:
    """Print the costs of a cache, as JSON; called in a fresh process."""
    import torch  # noqa: F401 - not to be counted

    from kdbench.scores.cache import TopKCache

    _write(TopKCache(Path(folder) / "imports"), range(2))
    TopKCache(Path(folder) / "imports").read(_digest(0))
    before, start = _memory(), time.perf_counter()
    cache = TopKCache(Path(folder))
    assert cache.has(_digest(0))
    costs = {"open": (time.perf_counter() - start) * 1e3}
    step = max(size // FOUND, 1)
    for what, numbers, do, unit in (
        ("look up a text", range(0, size, step), cache.has, 1e6),
        ("look up a text that is not there", range(size, size + FOUND), cache.has, 1e6),
        ("read a text", range(0, size, max(size // READ, 1)), cache.read, 1e6),
    ):
        digests = [_digest(number) for number in numbers]
        start = time.perf_counter()
        for digest in digests:
            do(digest)
        costs[what] = (time.perf_counter() - start) / len(digests) * unit
    print(json.dumps({**costs, "memory": (_memory() - before) / 2**20}))


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _write(cache: "object", numbers: range) -> None:
    """Write random texts as a file."""
    import numpy as np

    from kdbench.scores.cache import TopKCache
    from kdbench.scores.packing import pack
    from kdbench.scores.shards import Block

    assert isinstance(cache, TopKCache)
    random = np.random.default_rng(numbers.start)
    blocks = []
    for number in numbers:
        log_p = np.sort(random.normal(size=(4, 8)).astype("f4") - 5)[:, ::-1]
        ids, rest = random.integers(0, 2**15, (4, 8)), log_p[:, 0]
        columns = {"log_p": log_p, "ids": ids, "tail": rest, "entropy": rest, "target": rest}
        digest = bytes.fromhex(_digest(number))
        blocks.append(Block(digest, 4, 0.1, pack(columns, digest)))
    cache.put(blocks)


def _memory() -> int:
    """The highest resident set of this process, in bytes, without that of its parent."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 2**10

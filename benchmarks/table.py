"""The wall time of `kdbench table` on 1,000 runs and on 1,000 results, in fresh processes.

The peer is a fresh Python that only reads the same files with `json`, which is close to a lower
bound for any table that reads its results. The files are in the system's cache.
"""

import random
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.startup import fresh, kdbench_command
from benchmarks.timing import in_turns
from kdbench.config import FIVE
from kdbench.metrics import CorpusMetric, metrics
from kdbench.protocol import PROTOCOLS
from kdbench.stats.estimates import corpus_estimate, document_means, estimate
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

ROUNDS = 5
SECONDS = 2.0
_READ = (
    "import json, pathlib, sys\n"
    "for f in pathlib.Path(sys.argv[1]).rglob('*.json'): json.loads(f.read_bytes())"
)


def run() -> Outcome:
    """Time tables of 1,000 runs of 5 × 100 documents and of 200 runs of 5 × 500 documents."""
    return Outcome("synthetic results", (_row(1000, 100), _row(200, 500)))


def _row(runs: int, documents: int) -> BenchmarkRow:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        write_results(results, runs, documents)
        size = sum(file.stat().st_size for file in results.rglob("*.json")) / 1e6
        out = Path(folder) / "table.csv"
        command = [*kdbench_command(), "table", f"results={results}", "format=csv", f"out={out}"]
        read = [sys.executable, "-c", _READ, str(results)]
        timed = in_turns({"read": fresh(read), "table": fresh(command)}, ROUNDS)
        measured = out.read_text(encoding="utf-8").count("model-")
    if measured < runs:
        raise RuntimeError(f"the table shows {measured} of {runs} runs")
    seconds = timed.median("table")
    return BenchmarkRow(
        f"kdbench table: {runs:,} runs, {runs * len(FIVE):,} results of {documents} documents, "
        f"{size:.0f} MB",
        f"{timed.median('read'):.2f} s (reading the JSON)",
        f"{seconds:.2f} s",
        f"{timed.ratio('read', 'table'):.2f}",
        timed.spread("read", "table"),
        target(f"≤ {SECONDS:g} s", seconds <= SECONDS),
    )


def write_results(results: Path, runs: int, documents: int) -> None:
    """Write runs with all metrics on five tasks; all runs have the same task files."""
    first = RunFolder(results / "model-0000" / "minillm-00000000")
    for task in FIVE:
        first.write_task(_result(task, documents))
    for number in range(runs):
        name = f"model-{number:04d}"
        run = RunFolder(results / name / "minillm-00000000")
        run.write_run(
            {
                "model": {"name": name},
                "method": None,
                "setting": None,
                "protocol": PROTOCOLS["minillm"].as_dict(),
                "limit": documents,
                "status": "complete",
                "tasks": {},
            }
        )
        for task in FIVE if number else ():
            shutil.copyfile(first.path / f"{task}.json", run.path / f"{task}.json")


def _result(task: str, documents: int) -> TaskResult:
    rng = random.Random(task)
    protocol = PROTOCOLS["minillm"]
    results: dict[str, MetricResult] = {}
    columns: dict[str, list[float | None]] = {}
    for name in metrics.names():
        kind = metrics.get(name)
        scores: dict[int, list[float | None]] = {
            seed: [rng.uniform(0, 100) for _ in range(documents)] for seed in protocol.seeds
        }
        if issubclass(kind, CorpusMetric):
            numbers = corpus_estimate({seed: rng.random() for seed in scores}, documents)
        else:
            numbers = estimate(scores)
            columns[name] = document_means(scores)
        results[name] = MetricResult(
            **vars(numbers), unit=kind.unit, direction=kind.direction, version=str(kind.version)
        )
    return TaskResult(
        fingerprint={"task": task, "protocol": protocol.as_dict()},
        metrics=results,
        documents={"id": [f"{task}-{number:05d}" for number in range(documents)], **columns},
        data={"rows": documents, "used": documents, "sha256": "0" * 64, "published": None},
        cut_prompts=0,
        main_metric="rougeL",
    )

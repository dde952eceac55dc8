"""A training step of `gkd` by `kdbench train`, compared with one of TRL's `DistillationTrainer`.

Both train the same student with the same teacher on the same token ids in the same order. TRL's
stable trainer samples its responses; here it is given those of the data, as kdbench is
(off-policy: no response is sampled). Prompts and responses are cut to one length each, so neither
side pads. Both have the same divergence, AdamW, learning rate, clipping and precision, and nothing
is recomputed in the models. The student is the teacher without a middle block of a third of its
layers, or with KDBENCH_BENCH_LAYERS layers; in the toy world it is the toy student. With
KDBENCH_BENCH_VOCABULARY=151936 or another number, both models have random weights in the shape of
Qwen2.5; KDBENCH_BENCH_HIDDEN (`896,1536`) and KDBENCH_BENCH_LAYERS (`24,28` on a GPU, `2,2` on a
CPU) are their sizes, and KDBENCH_BENCH_MODELS a folder that keeps them.

The time of a step runs from the end of the previous step to its own end, data and optimiser
included. Each side and precision runs in fresh processes, in turns. `ExtraMemory` covers the time
from the beginning of training to the end of the last step. The benchmark needs TRL
(`pip install kdbench[bench]`). KDBENCH_BENCH_STEPS (6) is the number of measured steps,
KDBENCH_BENCH_BATCH (4, or 32 in the toy world) the rows per step, KDBENCH_BENCH_TOKENS (256) the
maximum length of a row, KDBENCH_BENCH_WEIGHT (0.5) the teacher's weight in the divergence,
KDBENCH_BENCH_PRECISION one precision instead of both, and KDBENCH_BENCH_PROCESSES (2) the number of
processes of each.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.device import gpu
from benchmarks.inputs import data_title, model_title
from benchmarks.random_models import sizes
from benchmarks.report import BenchmarkRow, Outcome, show, target
from benchmarks.timing import clock_title

ROUNDS = int(os.environ.get("KDBENCH_BENCH_PROCESSES", "2"))
SIDES = ("trl", "kdbench")
PRECISIONS = os.environ.get("KDBENCH_BENCH_PRECISION", "float32,bfloat16").split(",")
EQUAL = 1e-5  # relative, in float32
TIME = 1.0  # of TRL's
NOISE = 1.03  # of equal times
Measured = Mapping[str, Any]  # the output of a process


def run() -> Outcome:
    """Compare losses, time per step and extra peak memory in both precisions."""
    with tempfile.TemporaryDirectory() as folder:
        models = os.environ.get("KDBENCH_BENCH_MODELS", folder)
        rows = [show(row) for precision in PRECISIONS for row in _compare(precision, models)]
    return Outcome(f"{title()}, trl {version('trl')}{clock_title()}", tuple(rows), gpu())


def title() -> str:
    """Student, teacher and data."""
    if (wanted := sizes()) is not None:
        return str(wanted)
    real, layers = "KDBENCH_BENCH_MODEL" in os.environ, os.environ.get("KDBENCH_BENCH_LAYERS")
    pruned = f"{layers} of its layers" if layers else "itself without a middle block"
    return f"{model_title()} to {pruned if real else 'toy student'}, {data_title()}"


def _compare(precision: str, models: str) -> Iterator[BenchmarkRow]:
    measured: dict[str, list[Measured]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side in SIDES:
            measured[side].append(_fresh(side, precision, models))
    theirs, ours = measured["trl"], measured["kdbench"]
    if any(process["rows"] != theirs[0]["rows"] for process in (*theirs, *ours)):
        raise RuntimeError("the two sides did not see the same token ids in the same order")
    shape = f"{ours[0]['shape']}, {precision}"
    yield _losses(shape, precision, theirs[0]["losses"], ours[0]["losses"])
    yield _ratio(f"{shape}: time per step", "seconds", "s", theirs, ours, TIME)
    yield _ratio(f"{shape}: extra peak memory", "memory", "MiB", theirs, ours, None)


def _fresh(side: str, precision: str, models: str) -> Measured:
    command = [sys.executable, "-m", "benchmarks.trl_step", side, precision, models]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def _losses(
    shape: str, precision: str, theirs: Sequence[float], ours: Sequence[float]
) -> BenchmarkRow:
    differences = [abs(a - b) / abs(a) for a, b in zip(theirs, ours, strict=True)]
    aim = target(f"first ≤ {EQUAL:g}", differences[0] <= EQUAL) if precision == "float32" else ""
    return BenchmarkRow(
        f"{shape}: loss of the first step",
        f"{theirs[0]:.7f} (trl)",
        f"{ours[0]:.7f}",
        f"relative difference {differences[0]:.1g}; at most {max(differences):.1g} in "
        f"{len(differences)} steps",
        target=aim,
    )


def _ratio(
    what: str,
    key: str,
    unit: str,
    trl: Sequence[Measured],
    kdbench: Sequence[Measured],
    aim: float | None,
) -> BenchmarkRow:
    theirs, ours = (median(_values(side, key)) for side in (trl, kdbench))
    pairs = zip(trl, kdbench, strict=True)
    ratios = sorted(median(_values([a], key)) / median(_values([b], key)) for a, b in pairs)
    share = ours / theirs
    return BenchmarkRow(
        what,
        f"{theirs:.4g} {unit} (trl)",
        f"{ours:.4g} {unit}, {share:.2f}× the peer's",
        f"{theirs / ours:.2f}",
        f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds",
        target(f"≤ {aim:g}× the peer's", share <= aim * NOISE) if aim else "",
    )


def _values(side: Sequence[Measured], key: str) -> list[float]:
    return [value for process in side for value in process[key]]


if __name__ == "__main__":
    from benchmarks.trl_step_sides import measure

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    print(json.dumps(measure(*sys.argv[1:])))

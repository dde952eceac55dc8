"""A training step of `gkd` by `kdbench train`, compared with a step of TRL's GKDTrainer.

Both train the same student with the same teacher on the same token ids in the same order. The rows
are Dolly's (off-policy: no response is sampled), cut to one length, so neither side pads. Both have
the same divergence (teacher weight 0.5), AdamW, learning rate, clipping and precision, and nothing
is recomputed except the chunks of kdbench's loss. The student is the teacher without a middle block
of a third of its layers, or with KDBENCH_BENCH_LAYERS layers; in the toy world it is the toy
student.

The time of a step runs from the end of the previous step to its own end, data and optimiser
included. Each side and precision runs in fresh processes, in turns. `ExtraMemory` covers the time
from the beginning of training to the end of the last step. The benchmark needs TRL
(`pip install kdbench[bench]`). KDBENCH_BENCH_STEPS (6) is the number of measured steps,
KDBENCH_BENCH_BATCH (4, or 32 in the toy world) the rows per step, and KDBENCH_BENCH_TOKENS (256)
the maximum length of a row.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.device import gpu
from benchmarks.inputs import data_title, model_title
from benchmarks.report import BenchmarkRow, Outcome, target

ROUNDS = 2
SIDES = ("trl", "kdbench")
PRECISIONS = ("float32", "bfloat16")
EQUAL = 1e-5  # relative, in float32
TIME, MEMORY = 0.45, 0.55  # of TRL's, in bfloat16
Measured = Mapping[str, Any]  # the output of a process


def run() -> Outcome:
    """Compare losses, time per step and extra peak memory in both precisions."""
    rows = [row for precision in PRECISIONS for row in _compare(precision)]
    real, layers = "KDBENCH_BENCH_MODEL" in os.environ, os.environ.get("KDBENCH_BENCH_LAYERS")
    pruned = f"{layers} of its layers" if layers else "itself without a middle block"
    student = pruned if real else "toy student"
    on = f"{model_title()} to {student}, {data_title()}, trl {version('trl')}"
    return Outcome(on, tuple(rows), gpu())


def _compare(precision: str) -> Iterator[BenchmarkRow]:
    measured: dict[str, list[Measured]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side in SIDES:
            measured[side].append(_fresh(side, precision))
    theirs, ours = measured["trl"], measured["kdbench"]
    if any(process["rows"] != theirs[0]["rows"] for process in (*theirs, *ours)):
        raise RuntimeError("the two sides did not see the same token ids in the same order")
    shape = f"{ours[0]['shape']}, {precision}"
    yield _losses(shape, precision, theirs[0]["losses"], ours[0]["losses"])
    aims = (TIME, MEMORY) if precision == "bfloat16" else (None, None)
    yield _ratio(f"{shape}: time per step", "seconds", "s", theirs, ours, aims[0])
    yield _ratio(f"{shape}: extra peak memory", "memory", "MiB", theirs, ours, aims[1])


def _fresh(side: str, precision: str) -> Measured:
    command = [sys.executable, "-m", "benchmarks.trl_step", side, precision]
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
        target(f"≤ {aim}× the peer's", share <= aim) if aim else "",
    )


def _values(side: Sequence[Measured], key: str) -> list[float]:
    return [value for process in side for value in process[key]]


if __name__ == "__main__":
    from benchmarks.trl_step_sides import measure

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    print(json.dumps(measure(*sys.argv[1:])))

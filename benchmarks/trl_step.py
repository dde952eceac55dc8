"""A step of `gkd` as `kdbench train` takes it, against a step of TRL's GKDTrainer.

Both train the same student with the same teacher on the same token ids in the same order: Dolly's
rows (off-policy: no response is sampled), all cut to one length, so that neither pads. Equal are
also the divergence (teacher's share 0.5), AdamW, learning rate, clipping, the precision, and that
nothing is recomputed but the chunks of kdbench's loss. The student is the teacher without a middle
block, a third of its layers (or with KDBENCH_BENCH_LAYERS); in the toy world the toy student.

A step lasts from the end of the one before it to its own end, data and optimiser included. Each
side and precision runs in fresh processes, in turns; `ExtraMemory` is taken from the beginning of
the training to the end of its last step. Needs TRL (`pip install kdbench[bench]`).
KDBENCH_BENCH_STEPS (6) is how many steps are measured, KDBENCH_BENCH_BATCH (4, in the toy world 32)
the rows of a step, KDBENCH_BENCH_TOKENS (256) the most tokens of a row.
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
from benchmarks.report import Outcome, Row, target

ROUNDS = 2
SIDES = ("trl", "kdbench")
PRECISIONS = ("float32", "bfloat16")
EQUAL = 1e-5  # relative, in float32
TIME, MEMORY = 0.45, 0.55  # of TRL's, in bfloat16
Found = Mapping[str, Any]  # what a process printed


def run() -> Outcome:
    """Losses, seconds of a step and extra peak memory in both precisions."""
    rows = [row for precision in PRECISIONS for row in _compare(precision)]
    real, layers = "KDBENCH_BENCH_MODEL" in os.environ, os.environ.get("KDBENCH_BENCH_LAYERS")
    pruned = f"{layers} of its layers" if layers else "itself without a middle block"
    student = pruned if real else "toy student"
    on = f"{model_title()} to {student}, {data_title()}, trl {version('trl')}"
    return Outcome(on, tuple(rows), gpu())


def _compare(precision: str) -> Iterator[Row]:
    found: dict[str, list[Found]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side in SIDES:
            found[side].append(_fresh(side, precision))
    theirs, ours = found["trl"], found["kdbench"]
    if any(one["rows"] != theirs[0]["rows"] for one in (*theirs, *ours)):
        raise RuntimeError("the two sides did not see the same token ids in the same order")
    shape = f"{ours[0]['shape']}, {precision}"
    yield _losses(shape, precision, theirs[0]["losses"], ours[0]["losses"])
    aims = (TIME, MEMORY) if precision == "bfloat16" else (None, None)
    yield _ratio(f"{shape}: time per step", "seconds", "s", theirs, ours, aims[0])
    yield _ratio(f"{shape}: extra peak memory", "memory", "MiB", theirs, ours, aims[1])


def _fresh(side: str, precision: str) -> Found:
    command = [sys.executable, "-m", "benchmarks.trl_step", side, precision]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _losses(shape: str, precision: str, theirs: Sequence[float], ours: Sequence[float]) -> Row:
    off = [abs(a - b) / abs(a) for a, b in zip(theirs, ours, strict=True)]
    aim = target(f"first ≤ {EQUAL:g}", off[0] <= EQUAL) if precision == "float32" else ""
    return Row(
        f"{shape}: loss of the first step",
        f"{theirs[0]:.7f} (trl)",
        f"{ours[0]:.7f}",
        f"relative difference {off[0]:.1g}; at most {max(off):.1g} in {len(off)} steps",
        target=aim,
    )


def _ratio(
    what: str,
    key: str,
    unit: str,
    trl: Sequence[Found],
    kdbench: Sequence[Found],
    aim: float | None,
) -> Row:
    theirs, ours = (median(_values(side, key)) for side in (trl, kdbench))
    pairs = zip(trl, kdbench, strict=True)
    ratios = sorted(median(_values([a], key)) / median(_values([b], key)) for a, b in pairs)
    share = ours / theirs
    return Row(
        what,
        f"{theirs:.4g} {unit} (trl)",
        f"{ours:.4g} {unit}, {share:.2f}× the peer's",
        f"{theirs / ours:.2f}",
        f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds",
        target(f"≤ {aim}× the peer's", share <= aim) if aim else "",
    )


def _values(side: Sequence[Found], key: str) -> list[float]:
    return [value for one in side for value in one[key]]


if __name__ == "__main__":
    from benchmarks.trl_step_sides import measure

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    print(json.dumps(measure(*sys.argv[1:])))

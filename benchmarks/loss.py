"""Forward and backward of the loss alone, for large vocabularies: time, memory and value.

Random states of a student and a teacher go through their heads into a divergence, and the gradients
of the student's states and head come back. kdbench's loss is compared with what it did before
(chunks that are computed again in the backward pass), with TRL's kernels, with Liger Kernel's fused
JSD, with full logits, and with the matrix products alone, which no side can leave out. Times are
medians of KDBENCH_BENCH_ROUNDS rounds (7) in turns, after a first run that also compiles; the extra
peak memory is that of one more run. Values and gradients are compared with float64.

KDBENCH_BENCH_POSITIONS (8,192 on a GPU, 512 on a CPU), KDBENCH_BENCH_VOCABULARY (151,936 or
32,000), KDBENCH_BENCH_HIDDEN (`896,1536`: student and teacher) and KDBENCH_BENCH_PRECISION
(`bfloat16` or `float32`) are the sizes. KDBENCH_BENCH_OBJECTIVES names some of the objectives, as
in `forward KL,JSD`, and KDBENCH_BENCH_SECONDS (none) is the time after which no further one begins.
Peers that cannot run are named with the reason.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.device import ExtraMemory, gpu
from benchmarks.loss_sides import (
    OBJECTIVES,
    Inputs,
    Measured,
    PeerMissingError,
    Side,
    full_logits,
    inputs_of_environment,
    kdbench_side,
    liger,
    products,
    recomputed,
    reference,
    trl_kernels,
)
from benchmarks.report import BenchmarkRow, Outcome, deadline, show, target
from benchmarks.timing import Timed, clock_title, in_turns

ROUNDS = int(os.environ.get("KDBENCH_BENCH_ROUNDS", "7"))
OURS = "kdbench"
BEFORE, TRL = "recomputed chunks", "TRL's kernels"
PEERS: Mapping[str, Callable[[Measured, Inputs], Side]] = {
    BEFORE: recomputed,
    TRL: trl_kernels,
    "Liger Kernel": liger,
    "full logits": full_logits,
}
# Largest time and memory, as a share of the peer's.
AIMS = {BEFORE: (1.0, 1.0), TRL: (1.15, 1.5)}
NOISE = 1.03  # of equal times
EQUAL = {torch.float32: 1e-5, torch.bfloat16: 2e-3}


@dataclass(frozen=True)
class _Result:
    """What a side gave.

    Attributes:
        value: The loss.
        gradient: That of the student's states, relative difference from float64.
        memory: Extra peak memory in GiB.
    """

    value: float
    gradient: float
    memory: float


def run() -> Outcome:
    """Compare every objective with the peers that have it."""
    inputs = inputs_of_environment()
    rows = [_products(inputs)]
    until = deadline()
    for measured in _wanted():
        if time.monotonic() > until:
            rows.append(BenchmarkRow(measured.title, "", "not run: no time left"))
            continue
        rows += [row for row in _compare(measured, inputs) if row not in rows]
    hidden = " and ".join(str(head.in_features) for head in inputs.heads)
    kind = str(inputs.heads[0].weight.dtype).removeprefix("torch.")
    on = (
        f"{inputs.positions:,} positions, hidden {hidden}, V = {inputs.vocabulary:,}, {kind}, "
        f"{torch.get_num_threads()} threads{clock_title()}{_peer_versions()}"
    )
    return Outcome(on, tuple(rows), gpu())


def _wanted() -> Sequence[Measured]:
    titles = os.environ.get("KDBENCH_BENCH_OBJECTIVES")
    return [one for one in OBJECTIVES if not titles or one.title in titles.split(",")]


def _peer_versions() -> str:
    found = ""
    for package in ("trl", "liger-kernel"):
        try:
            found += f", {package} {version(package)}"
        except PackageNotFoundError:
            continue
    return found


def _products(inputs: Inputs) -> BenchmarkRow:
    side = products(inputs)
    side()
    timed = in_turns({"products": side}, ROUNDS, budget=30)
    row = BenchmarkRow("the four matrix products alone", _seconds(timed.median("products")), "")
    return show(row)


def _compare(measured: Measured, inputs: Inputs) -> Iterator[BenchmarkRow]:
    exact, gradient = reference(measured, inputs)
    makers = {OURS: kdbench_side, **PEERS}
    results: dict[str, _Result] = {}
    sides: dict[str, Side] = {}
    for name, make in makers.items():
        try:
            sides[name] = make(measured, inputs)
            results[name] = _measure(sides[name], inputs, gradient)
        except (PeerMissingError, torch.OutOfMemoryError) as error:
            sides.pop(name, None)
            inputs.clear()
            if isinstance(error, PeerMissingError) and "no such divergence" in str(error):
                continue
            missing = isinstance(error, PeerMissingError)
            what = name if missing else f"{measured.title}: {name}"
            reason = str(error) if missing else "out of memory"
            yield show(BenchmarkRow(what, f"not run: {reason}", ""))
    timed = in_turns(
        {name: lambda side=side: (inputs.clear(), side()) for name, side in sides.items()}, ROUNDS
    )
    inputs.clear()
    yield show(_agreement(measured, inputs, float(exact), results))
    for name in sides:
        if name != OURS:
            yield show(_against(measured, name, timed, results))


def _measure(side: Side, inputs: Inputs, exact: torch.Tensor) -> _Result:
    """Run twice: the first run compiles."""
    for _ in range(2):
        inputs.clear()
        gc.collect()
        with ExtraMemory() as memory:
            value = float(side())
    found = inputs.states[0].grad
    assert found is not None
    difference = float((found.double() - exact).norm() / exact.norm())
    return _Result(value, difference, memory.bytes / 2**30)


def _agreement(
    measured: Measured, inputs: Inputs, exact: float, results: Mapping[str, _Result]
) -> BenchmarkRow:
    others = ", ".join(
        f"{name} {result.value:.6f} ({result.gradient:.1g})"
        for name, result in results.items()
        if name != OURS
    )
    ours = results[OURS]
    limit = EQUAL[inputs.heads[0].weight.dtype]
    return BenchmarkRow(
        f"{measured.title}: value (relative difference of the gradient of the states)",
        f"float64 {exact:.6f}; {others}",
        f"{ours.value:.6f} ({ours.gradient:.1g})",
        target=target(f"value ≤ {limit:g}", abs(ours.value - exact) <= limit * abs(exact)),
    )


def _against(
    measured: Measured, peer: str, timed: Timed, results: Mapping[str, _Result]
) -> BenchmarkRow:
    time_share = 1 / timed.ratio(peer, OURS)
    memory_share = results[OURS].memory / results[peer].memory
    aim = ""
    if peer in AIMS and (peer != TRL or gpu()):
        at_most, memory_at_most = AIMS[peer]
        met = time_share <= at_most * NOISE and memory_share <= memory_at_most * NOISE
        aim = target(f"time ≤ {at_most:g}×, memory ≤ {memory_at_most:g}×", met)
    return BenchmarkRow(
        measured.title,
        f"{_seconds(timed.median(peer))}, {results[peer].memory:.2f} GiB ({peer})",
        f"{_seconds(timed.median(OURS))}, {results[OURS].memory:.2f} GiB; {time_share:.2f}× the "
        f"peer's time, {memory_share:.2f}× its memory",
        f"{timed.ratio(peer, OURS):.2f}",
        timed.spread(peer, OURS),
        aim,
    )


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"

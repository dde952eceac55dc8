"""Generation beside what the hardware allows: kdbench, lm-eval's `hf` model, TRL's rollouts, vLLM.

Two loads. `eval` answers prompts under the protocol minillm, as `kdbench eval` does; its peers are
lm-eval's `hf` model and, where it is installed, vLLM through kdbench. `rollouts` samples responses
of a student in training, without the n-gram rule and under autocast, as `kdbench train` does; its
peer is TRL's `DistillationTrainer`, which calls transformers' `generate`. In a load, all sides have
the same model, prompts and batch, and every response of `eval` has the same number of tokens.

Each figure has four parts: tokens a second, prompts included; milliseconds a decoding step, which
are those of the whole less those of one token, by the steps between; the bytes that a step must
read, which are the weights once and the keys and values of each row once, at the middle of its
response; and the share of the device's bandwidth at which it read them. The bandwidth is measured
here, as the faster of a copy and a matrix-vector product far larger than the caches. Where a batch
is large enough, arithmetic and not bandwidth is the limit: the last row says what share of the
device's measured matrix multiplication a step takes at least.

KDBENCH_BENCH_BATCH (512 on a GPU, 12 on a CPU) are the rows of `eval`, KDBENCH_BENCH_ROLLOUTS (32,
or 8 on a CPU) those of `rollouts`, KDBENCH_BENCH_TOKENS (256, or 32 on a CPU) the tokens of a
prompt and, once more, of its response. The model has random weights; KDBENCH_BENCH_VOCABULARY,
KDBENCH_BENCH_HIDDEN and KDBENCH_BENCH_LAYERS are its sizes, as in `trl_step`.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.device import device, gpu
from benchmarks.random_models import VOCABULARY, Sizes, make_models, sizes
from benchmarks.report import BenchmarkRow, Outcome, deadline, show
from benchmarks.roofline_limits import Limits, Step, measured_limits
from benchmarks.roofline_sides import Side, evaluation_sides, rollout_sides
from benchmarks.timing import clock_title, in_turns

ON_GPU = device() != "cpu"
EVAL_ROWS = int(os.environ.get("KDBENCH_BENCH_BATCH", "512" if ON_GPU else "12"))
ROLLOUTS = int(os.environ.get("KDBENCH_BENCH_ROLLOUTS", "32" if ON_GPU else "8"))
TOKENS = int(os.environ.get("KDBENCH_BENCH_TOKENS", "256" if ON_GPU else "32"))
ROUNDS = int(os.environ.get("KDBENCH_BENCH_ROUNDS", "2"))
SMALL = Sizes(8_192, (512, 512), (8, 2))  # where the environment names none


def run() -> Outcome:
    """Measure both loads in turns, and what the device can do."""
    wanted, end = sizes() or SMALL, deadline()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(os.environ.get("KDBENCH_BENCH_MODELS", folder))
        rows = max(EVAL_ROWS, ROLLOUTS)
        place = make_models(models, wanted, TOKENS, TOKENS, rows)
        limits = measured_limits()
        shown = [
            *_load("eval", evaluation_sides(place, EVAL_ROWS, TOKENS), EVAL_ROWS, limits, end),
            *_load("rollouts", rollout_sides(place, ROLLOUTS, TOKENS), ROLLOUTS, limits, end),
        ]
    on = f"{_student(wanted)}, {TOKENS} tokens a prompt and a response{clock_title()}"
    return Outcome(on, tuple(shown), gpu())


def _student(wanted: Sizes) -> str:
    named = "" if VOCABULARY in os.environ else "small model, "
    return (
        f"{named}random weights, V = {wanted.vocabulary:,}, "
        f"hidden {wanted.hidden[0]} × {wanted.layers[0]} layers"
    )


def _load(
    title: str, sides: Mapping[str, Side], rows: int, limits: Limits, end: float
) -> Iterator[BenchmarkRow]:
    """The rows of a load: each peer beside kdbench, then the share of arithmetic."""
    if not sides:
        return
    counts: dict[str, int] = {}

    def whole(name: str) -> Callable[[], None]:
        return lambda: counts.update({name: sides[name].generate(TOKENS)})

    for side in sides.values():  # kernels are chosen and captured in a first call
        side.generate(2)
    runs: dict[str, Callable[[], object]] = {name: whole(name) for name in sides}
    runs |= {f"{name}, one token": (lambda s=side: s.generate(1)) for name, side in sides.items()}
    timed = in_turns(runs, ROUNDS, max(0.0, end - time.monotonic()))
    steps = {
        name: Step(
            rows=rows,
            tokens_per_second=counts[name] / timed.median(name),
            seconds=max(timed.median(name) - timed.median(f"{name}, one token"), 0) / (TOKENS - 1),
            bytes=side.bytes,
            operations=side.operations,
        )
        for name, side in sides.items()
    }
    ours = steps.pop("kdbench")
    for name, step in steps.items():
        yield show(
            BenchmarkRow(
                f"{title}, {rows} rows: against {name}",
                step.text(limits),
                ours.text(limits),
                f"{timed.ratio(name, 'kdbench'):.2f}",
                timed.spread(name, "kdbench"),
            )
        )
    yield show(
        BenchmarkRow(
            f"{title}, {rows} rows: least time of a step",
            f"{limits}",
            ours.least(limits),
        )
    )

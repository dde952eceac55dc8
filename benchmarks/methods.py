"""Every registered method against the others: seconds and memory of a step, from one start.

All methods train the same student with the same teacher, on the same batches, in one process and in
turns: a round of every method, then the next. The time of a step includes data, generation,
companions and the optimiser. It is the mean of KDBENCH_BENCH_STEPS steps (8) after two others, and
the median of the rounds. `minillm` samples one batch for four passes, instead of four batches for
four passes, which costs the same a step. For `seqkd` the responses of the data stand for the
teacher's, which are sampled before training. Whether `gkd` and `classmate` sample in a step is
drawn: the table has the shares of the phases in the time.

The models are those of `trl_step`: the toy world, KDBENCH_BENCH_MODEL, or random weights of
KDBENCH_BENCH_VOCABULARY tokens. KDBENCH_BENCH_BATCH and KDBENCH_BENCH_TOKENS are sizes as there,
KDBENCH_BENCH_NEW_TOKENS (32) the length of a sample, KDBENCH_BENCH_ROUNDS (2) the number of rounds,
KDBENCH_BENCH_METHODS the methods (all) and KDBENCH_BENCH_SECONDS (none) the time after which no
further run begins.
"""

import copy
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback

from benchmarks.device import ExtraMemory, device, gpu, wait
from benchmarks.report import BenchmarkRow, Outcome, deadline, show
from benchmarks.timing import clock, clock_title
from benchmarks.trl_step import title
from benchmarks.trl_step_sides import BATCH, checkpoints, of_one_length
from kdbench.distillation.fit import make_trainer, prepare
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.errors import InputError
from kdbench.methods import methods
from kdbench.views import Example

STEPS = int(os.environ.get("KDBENCH_BENCH_STEPS", "8"))
ROUNDS = int(os.environ.get("KDBENCH_BENCH_ROUNDS", "2"))
NEW_TOKENS = int(os.environ.get("KDBENCH_BENCH_NEW_TOKENS", "32"))
WARM_UP = 2  # steps; the first compiles
BASE = "sft"
OPTIONS: Mapping[str, Mapping[str, Any]] = {"minillm": {"rollout_batches": 1}}


@dataclass
class _Runs:
    """The measured runs of a method.

    Attributes:
        seconds: Seconds of a step, by round.
        phases: Seconds on the wall of a step by phase, in the last round.
        memory: Extra peak memory of the last round, in GiB.
        reason: Why it did not run; empty if it did.
    """

    seconds: list[float] = field(default_factory=list)
    phases: Mapping[str, float] = field(default_factory=dict)
    memory: float = 0.0
    reason: str = ""


def run() -> Outcome:
    """Measure all methods in rounds."""
    named = os.environ.get("KDBENCH_BENCH_METHODS")
    names = named.split(",") if named else [BASE, *(n for n in methods.names() if n != BASE)]
    runs = {name: _Runs() for name in names}
    until = deadline()
    with tempfile.TemporaryDirectory() as folder:
        count = (WARM_UP + STEPS) * BATCH
        places = checkpoints(Path(os.environ.get("KDBENCH_BENCH_MODELS", folder)), count)
        base = Ingredients(_recipe(BASE, places))
        _ = base.teacher_model  # one for all
        rows = of_one_length(base.train.examples, count)
        for name in names * ROUNDS:
            if time.monotonic() < until:
                _measure(_with_method(base, name, places), rows, runs[name])
    shape = f"{BATCH} rows of {len(rows[0].prompt_ids)} tokens and {len(rows[0].response_ids)} of "
    shape += f"the response, samples of {NEW_TOKENS} tokens, {STEPS} steps"
    on = f"{title()}, {shape}, {os.cpu_count()} cores{clock_title()}"
    return Outcome(on, tuple(_rows(runs)), gpu())


def _recipe(name: str, places: Mapping[str, str]) -> Any:
    return make_recipe(
        {
            "method": name,
            "device": device(),
            "steps": WARM_UP + STEPS,
            "batch_size": BATCH,
            "micro_batch_size": BATCH,
            "lr_schedule": "constant",
            "max_new_tokens": NEW_TOKENS,
            "validation_limit": 1,
            "validation_samples": 1,
            "log_every": 1000,
        }
        | OPTIONS.get(name, {})
        | places
    )


def _with_method(base: Ingredients, name: str, places: Mapping[str, str]) -> Ingredients:
    """The same checkpoints and data, found, hashed and loaded once, for another method."""
    recipe, parts = _recipe(name, places), copy.copy(base)
    parts.method, parts.settings = recipe.method, recipe.settings
    return parts


def _measure(parts: Ingredients, rows: Iterable[Example], runs: _Runs) -> None:
    """Train from the start; note why a method cannot."""
    if runs.reason:
        return
    watch = _Watch()
    try:
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(prepare(parts, parts.triple(), list(rows), Path(folder)))
            trainer.args.train_sampling_strategy = "sequential"
            watch.phases = trainer.phases
            trainer.add_callback(watch)  # added last, so that it runs at the very end of a step
            trainer.train()
    except InputError as error:
        runs.reason = str(error)
        return
    runs.seconds.append(watch.seconds)
    runs.phases, runs.memory = watch.by_phase, watch.memory.bytes / 2**30


class _Watch(TrainerCallback):
    """Times the steps after the warm-up, without the validations around them.

    Attributes:
        phases: The trainer's.
        seconds: Seconds of a step.
        by_phase: Seconds of a step by phase, always on the wall.
        memory: Extra peak memory of all steps.
    """

    phases: Any = None

    def __init__(self) -> None:
        self.seconds, self.by_phase = 0.0, dict[str, float]()
        self.memory = ExtraMemory()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start measuring memory; validation and checks are over."""
        self.memory.__enter__()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Start the clock after the warm-up and stop it at the end; neither save nor evaluate."""
        control.should_save = control.should_evaluate = False
        wait()
        if state.global_step == WARM_UP:
            self._start, self._before = clock(), dict(self.phases.seconds)
        elif state.global_step == WARM_UP + STEPS:
            self.seconds = (clock() - self._start) / STEPS
            self.memory.read()
            spent = {k: s - self._before.get(k, 0.0) for k, s in self.phases.seconds.items()}
            self.by_phase = {name: seconds / STEPS for name, seconds in spent.items()}
        return control


def _rows(runs: Mapping[str, _Runs]) -> Iterable[BenchmarkRow]:
    base = median(runs[BASE].seconds) if BASE in runs and runs[BASE].seconds else None
    for name, of_method in runs.items():
        if not of_method.seconds:
            reason = of_method.reason or "no time left"
            yield show(BenchmarkRow(name, "", f"not run: {reason}"))
            continue
        seconds = median(of_method.seconds)
        phases = {key: spent for key, spent in of_method.phases.items() if spent}
        shares = [f"{key} {spent / sum(phases.values()):.0%}" for key, spent in phases.items()]
        yield show(
            BenchmarkRow(
                name,
                f"{base:.3f} s/step ({BASE})" if base else "",
                f"{seconds:.3f} s/step ({', '.join(shares)}), {of_method.memory:.2f} GiB",
                f"{base / seconds:.2f}" if base else "",
                f"{min(of_method.seconds):.3f}–{max(of_method.seconds):.3f} s, "
                f"{len(of_method.seconds)} rounds",
            )
        )

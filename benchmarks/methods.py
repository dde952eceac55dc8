"""Every registered method against the others: seconds and memory of a step, from one start.

All methods train the same student with the same teacher, on the same batches, in one process and in
turns: a round of every method, then the next. The time of a step includes data, generation,
companions and the optimiser. It is the mean of KDBENCH_BENCH_STEPS steps (8), and the median of the
rounds, of which the first is only a warm-up of two steps. `minillm` samples one batch for four
passes, instead of four batches for four passes, which costs the same a step. For `seqkd` the
responses of the data stand for the teacher's, which are sampled before training.

The models are those of `trl_step`: the toy world, KDBENCH_BENCH_MODEL, or random weights of
KDBENCH_BENCH_VOCABULARY tokens. KDBENCH_BENCH_BATCH and KDBENCH_BENCH_TOKENS are sizes as there,
KDBENCH_BENCH_NEW_TOKENS (32) the length of a sample, KDBENCH_BENCH_ROUNDS (2) the number of
measured rounds, KDBENCH_BENCH_METHODS the methods (all) and KDBENCH_BENCH_SECONDS (none) the time
after which no further run begins.
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
WARM_UP = 2  # steps of the first round
BASE = "sft"
OPTIONS: Mapping[str, Mapping[str, Any]] = {"minillm": {"rollout_batches": 1}}


@dataclass
class _Runs:
    """The measured runs of a method.

    Attributes:
        seconds: Seconds of a step, by round.
        phases: Seconds of a step by phase, in the last round.
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
        places = checkpoints(Path(os.environ.get("KDBENCH_BENCH_MODELS", folder)))
        base = Ingredients(_recipe(BASE, places))
        _ = base.teacher_model  # one for all
        rows = of_one_length(base.train.examples, STEPS * BATCH)
        for number in range(1 + ROUNDS):
            for name in names:
                if time.monotonic() > until:
                    continue
                _measure(_with_method(base, name, places), rows, runs[name], number == 0)
    shape = f"{BATCH} rows of {len(rows[0].prompt_ids)} tokens and {len(rows[0].response_ids)} of "
    shape += f"the response, samples of {NEW_TOKENS} tokens, {STEPS} steps"
    on = f"{title()}, {shape}, {os.cpu_count()} cores{clock_title()}"
    return Outcome(on, tuple(_rows(runs)), gpu())


def _recipe(name: str, places: Mapping[str, str]) -> Any:
    return make_recipe(
        {
            "method": name,
            "device": device(),
            "steps": STEPS,
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


def _measure(parts: Ingredients, rows: Iterable[Example], runs: _Runs, warms_up: bool) -> None:
    """Train from the start; note why a method cannot."""
    if runs.reason:
        return
    watch = _Watch(WARM_UP if warms_up else STEPS)
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
    if not warms_up:
        runs.seconds.append(watch.seconds)
        runs.phases, runs.memory = watch.by_phase, watch.memory.bytes / 2**30


class _Watch(TrainerCallback):
    """Times the steps from the first to the last, without the validations around them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.seconds = steps, 0.0
        self.memory = ExtraMemory()
        self.phases: Any = None
        self.by_phase: dict[str, float] = {}

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock; validation and checks are over."""
        self.memory.__enter__()
        self._before = dict(self.phases.seconds)
        wait()
        self._start = clock()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Stop the clock after the last step, and neither save nor evaluate."""
        control.should_save = control.should_evaluate = False
        if state.global_step >= self.steps:
            wait()
            self.seconds = (clock() - self._start) / self.steps
            self.memory.read()
            spent = {k: s - self._before.get(k, 0.0) for k, s in self.phases.seconds.items()}
            self.by_phase = {name: seconds / self.steps for name, seconds in spent.items()}
            control.should_training_stop = True
        return control


def _rows(runs: Mapping[str, _Runs]) -> Iterable[BenchmarkRow]:
    base = median(runs[BASE].seconds) if BASE in runs and runs[BASE].seconds else None
    for name, of_method in runs.items():
        if not of_method.seconds:
            reason = of_method.reason or "no time left"
            yield show(BenchmarkRow(name, "", f"not run: {reason}"))
            continue
        seconds = median(of_method.seconds)
        shares = [
            f"{phase} {spent:.3f}" for phase, spent in of_method.phases.items() if spent >= 5e-4
        ]
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

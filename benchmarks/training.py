"""Methods compared with each other: seconds per step, memory, and whether the loss falls.

Each method trains in a fresh process for `KDBENCH_BENCH_STEPS` steps (50). If `KDBENCH_BENCH_MODEL`
names a teacher and `KDBENCH_DATA` its data, the student is the teacher without its ten middle
layers, and the recipes are `smollm2-135m/METHOD`. Otherwise the student is that of the toy world,
and the recipes are `toy/METHOD`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.device import device, gpu
from benchmarks.inputs import data, model, model_title, world
from benchmarks.report import BenchmarkRow, Outcome

METHODS = ("sft", "gkd", "distillm", "classmate", "minillm")
STEPS = int(os.environ.get("KDBENCH_BENCH_STEPS", "50"))


def run() -> Outcome:
    """Train with each method; the peer is supervised fine-tuning without a teacher."""
    real = "KDBENCH_BENCH_MODEL" in os.environ
    arguments = [f"steps={STEPS}", "log_every=1", f"device={device()}"]
    if real:
        arguments += [f"teacher={model()}", f"data={data()}", f"validate_every={STEPS}"]
        arguments += ["validation_samples=16"]
    else:
        toy = world()
        arguments += [f"teacher={toy.teacher}", f"student={toy.student}", f"data={toy.data}"]
    family = "smollm2-135m" if real else "toy"
    with tempfile.TemporaryDirectory() as folder:
        trained = {name: _train(family, name, arguments, Path(folder)) for name in METHODS}
    base = trained["sft"]["seconds"]
    rows = tuple(
        BenchmarkRow(
            f"{name}, {STEPS} steps",
            f"{base:.2f} s/step (sft)",
            f"{run['seconds']:.2f} s/step, {run['memory'] / 2**30:.1f} GiB; {run['losses']}",
            f"{base / run['seconds']:.2f}",
            "",
            "",
        )
        for name, run in trained.items()
    )
    on = f"{model_title()} to 20 layers, KDBENCH_DATA" if real else "toy world"
    return Outcome(f"{on}, {os.cpu_count()} cores", rows, gpu())


def _train(family: str, name: str, arguments: list[str], folder: Path) -> dict[str, object]:
    out = folder / name
    command = [sys.executable, "-m", "kdbench", "train", f"recipe={family}/{name}", f"out={out}"]
    subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)
    card = json.loads((out / "kdbench.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text("utf-8").splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    fifth = max(1, len(losses) // 5)
    first, last = statistics.fmean(losses[:fifth]), statistics.fmean(losses[-fifth:])
    validations = card["validations"]
    seconds = [phase["seconds"] for key, phase in card["phases"].items() if key != "validate"]
    return {
        "seconds": sum(seconds) / STEPS,
        "memory": card["peak_memory_bytes"]["host" if device() == "cpu" else "device"],
        "losses": f"loss {first:.3f} → {last:.3f} (means of {fifth} steps), validation loss "
        f"{validations[0]['loss']:.2f} → {validations[-1]['loss']:.2f}",
    }

"""Methods against each other: seconds a step, memory, and whether the loss falls.

Each method trains in a fresh process for `KDBENCH_BENCH_STEPS` steps (50). With
`KDBENCH_BENCH_MODEL` (the teacher) and `KDBENCH_DATA` the student is the teacher without its ten
middle layers, by the recipes `smollm2-135m/METHOD`; else it is the toy world's, by `toy/METHOD`.
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
from benchmarks.report import Outcome, Row

METHODS = ("sft", "gkd", "distillm", "classmate", "minillm")
STEPS = int(os.environ.get("KDBENCH_BENCH_STEPS", "50"))


def run() -> Outcome:
    """A row each; the peer is supervised fine-tuning without a teacher."""
    real = "KDBENCH_BENCH_MODEL" in os.environ
    words = [f"steps={STEPS}", "log_every=1", f"device={device()}"]
    if real:
        words += [f"teacher={model()}", f"data={data()}", f"validate_every={STEPS}"]
        words += ["validation_samples=16"]
    else:
        toy = world()
        words += [f"teacher={toy.teacher}", f"student={toy.student}", f"data={toy.data}"]
    family = "smollm2-135m" if real else "toy"
    with tempfile.TemporaryDirectory() as folder:
        found = {name: _train(family, name, words, Path(folder)) for name in METHODS}
    base = found["sft"]["seconds"]
    rows = tuple(
        Row(
            f"{name}, {STEPS} steps",
            f"{base:.2f} s/step (sft)",
            f"{one['seconds']:.2f} s/step, {one['memory'] / 2**30:.1f} GiB; {one['falls']}",
            f"{base / one['seconds']:.2f}",
            "",
            "",
        )
        for name, one in found.items()
    )
    what = f"{model_title()} to 20 layers, KDBENCH_DATA" if real else "toy world"
    return Outcome(f"{what}, {os.cpu_count()} cores", rows, gpu())


def _train(family: str, name: str, words: list[str], folder: Path) -> dict[str, object]:
    out = folder / name
    command = [sys.executable, "-m", "kdbench", "train", f"recipe={family}/{name}", f"out={out}"]
    subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)
    card = json.loads((out / "kdbench.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text("utf-8").splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    tenth = max(1, len(losses) // 5)
    first, last = statistics.fmean(losses[:tenth]), statistics.fmean(losses[-tenth:])
    validations = card["validations"]
    work = [phase["seconds"] for key, phase in card["phases"].items() if key != "validate"]
    return {
        "seconds": sum(work) / STEPS,
        "memory": card["peak_memory_bytes"]["host" if device() == "cpu" else "device"],
        "falls": f"loss {first:.3f} → {last:.3f} (means of {tenth} steps), validation loss "
        f"{validations[0]['loss']:.2f} → {validations[-1]['loss']:.2f}",
    }

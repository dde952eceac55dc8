"""Whether a row is reproduced from nothing by the commands that its table prints.

In one folder, this checkout makes the toy world, trains a student and measures it, in float32 on
the CPU. The table's JSON names the commands. In another folder, a clean clone of HEAD makes the toy
world again and runs just these commands. Then weights, samples and results are compared byte for
byte; `run.json`, which records dates and times, is left out.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import BenchmarkRow, Outcome, target

ROOT = Path(__file__).parents[1]
_WORLD = (
    "from pathlib import Path; from kdbench.toy.models import make_world; "
    "make_world(Path('world'), teacher_steps=60, student_steps=30, train=600, test=12)"
)
_TRAIN = (
    "train method=gkd student=world/student teacher=world/teacher data=world/data steps=10 "
    "batch_size=8 device=cpu precision=float32 teacher_dtype=float32 out=runs/GKD label=GKD seed=3"
)
_EVAL = (
    "eval model=runs/GKD teacher=world/teacher data=world/data tasks=dolly,vicuna seeds=10,20 "
    "max_new_tokens=32 device=cpu dtype=float32"
)


def run() -> Outcome:
    """Make a row, make it again elsewhere, and compare."""
    with tempfile.TemporaryDirectory() as temporary:
        first, second = Path(temporary, "first"), Path(temporary, "second")
        for folder in (first, second):
            folder.mkdir()
        _python(ROOT, first, "-c", _WORLD)
        for command in (_TRAIN, _EVAL):
            _python(ROOT, first, "-m", "kdbench", *command.split())
        commands = _printed_commands(first)

        checkout = Path(temporary, "checkout")
        _call(["git", "clone", "-q", str(ROOT), str(checkout)], ROOT)
        _python(checkout, second, "-c", _WORLD)
        for command in commands:
            program, *words = shlex.split(command)
            if program != "kdbench":
                raise RuntimeError(f"not a command of kdbench: {command}")
            _python(checkout, second, "-m", "kdbench", *words)
        rows = tuple(_rows(first, second))
    return Outcome("toy world, GKD, 10 steps, Dolly and Vicuna, 2 seeds, float32, CPU", rows)


def _printed_commands(folder: Path) -> list[str]:
    words = ("table", "tasks=dolly,vicuna", "rows=GKD", "format=json")
    cells = json.loads(_python(ROOT, folder, "-m", "kdbench", *words))
    if not cells[0]["commands_recorded"]:
        raise RuntimeError("the table does not name the commands that ran")
    commands: list[str] = cells[0]["commands"]
    return commands


def _rows(first: Path, second: Path) -> list[BenchmarkRow]:
    kinds = {
        "weights": _files(first, "runs/GKD", "*.safetensors"),
        "samples": _files(first, "results", "*.jsonl"),
        "results (scores, intervals, fidelity)": _files(first, "results", "*.json"),
    }
    rows = []
    for kind, names in kinds.items():
        equal = sum(_same(first / name, second / name) for name in names)
        size = sum((first / name).stat().st_size for name in names)
        rows.append(
            BenchmarkRow(
                f"equal files of {kind}, {size:,} bytes",
                f"{len(names)} (this checkout)",
                f"{equal} (a clean clone elsewhere, by the table's commands)",
                target=target("all", bool(names) and equal == len(names)),
            )
        )
    return rows


def _files(folder: Path, below: str, pattern: str) -> list[Path]:
    files = sorted((folder / below).rglob(pattern))
    return [file.relative_to(folder) for file in files if file.name != "run.json"]


def _same(first: Path, second: Path) -> bool:
    return second.is_file() and first.read_bytes() == second.read_bytes()


def _python(checkout: Path, folder: Path, *words: str) -> str:
    """Run Python in a folder with the kdbench of a checkout, and return what it prints."""
    return _call([sys.executable, *words], folder, {"PYTHONPATH": str(checkout)})


def _call(words: Sequence[str], folder: Path, variables: dict[str, str] | None = None) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **(variables or {})}
    environment.pop("KDBENCH_DATA", None)
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout

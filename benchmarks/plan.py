"""The wall time of `kdbench fill TABLE --plan` for more than 500 nodes, in fresh processes.

The table has 55 rows of the toy recipes, five training seeds each, and given checkpoints of teacher
and student. The peer is `kdbench --version`, which starts the same program and plans nothing.
"""

import json
import subprocess
import tempfile
from itertools import cycle, islice
from pathlib import Path

from benchmarks.inputs import world
from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.startup import fresh, kdbench_command
from benchmarks.timing import clock_title, in_turns

ROUNDS = 5
ROWS, SEEDS = 55, 5
SECONDS = 2.0
_KINDS = (["checkpoint"], ["train"], ["evaluate"])  # the second word of a node's line
RECIPES = ("sft", "kd", "seqkd", "gkd", "minillm", "distillm", "classmate")


def run() -> Outcome:
    """Time the plan after one warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.yaml"
        table.write_text(json.dumps(_table()), encoding="utf-8")  # JSON is YAML
        places = [f"models={folder}/models", f"results={folder}/results"]
        plan = [*kdbench_command(), "fill", str(table), "--plan", *places]
        text = subprocess.run(plan, check=True, capture_output=True, text=True).stdout
        nodes = sum(line.split()[1:2] in _KINDS for line in text.splitlines())
        commands = {"version": [*kdbench_command(), "--version"], "plan": plan}
        timed = in_turns({name: fresh(command) for name, command in commands.items()}, ROUNDS)
    seconds = timed.median("plan")
    row = BenchmarkRow(
        f"kdbench fill --plan: {nodes} nodes, {ROWS} rows of {SEEDS} seeds",
        f"{timed.median('version'):.2f} s (kdbench --version)",
        f"{seconds:.2f} s, slowest {max(timed.seconds['plan']):.2f} s",
        f"{timed.ratio('version', 'plan'):.2f}",
        timed.spread("version", "plan"),
        target(f"≤ {SECONDS:g} s", seconds <= SECONDS),
    )
    return Outcome(f"toy recipes{clock_title()}", (row,))


def _table() -> dict[str, object]:
    """A table of which nothing is done but the given checkpoints."""
    toy = world()
    rows = [
        {"label": f"row {number}", "train": {"recipe": f"toy/{recipe}", "epochs": number + 1}}
        for number, recipe in enumerate(islice(cycle(RECIPES), ROWS))
    ]
    return {
        "title": "many rows",
        "teacher": {"label": "Teacher", "checkpoint": str(toy.teacher.resolve())},
        "student": {"label": "Student", "checkpoint": str(toy.student.resolve())},
        "rows": rows,
        "train_seeds": SEEDS,
        "data": str(toy.data.resolve()),
    }

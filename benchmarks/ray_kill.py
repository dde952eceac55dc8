"""A table on Ray whose workers, head and driver are killed equals one that was left in peace.

    python -m benchmarks.ray_kill [ROUNDS] [STEPS] [SECONDS]

A table of the toy world is filled twice from the same files: by `kdbench fill` on this machine, and
by `executor=ray workers=3`, of which two busy workers at random are killed (SIGKILL) at a random
moment of each of ten rounds of at most SECONDS. In between, each once, Ray's raylet, its head (the
GCS) and the driver itself are killed; the driver is started again with the same command. Then every
file of both is compared, but for logs, locks, recorded times, the records that hold times and the
machine (run.json, and kdbench.json in a checkpoint), and the moments of measurement in TABLE.md. It
needs Linux, for /proc.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.inputs import world

ROUNDS, STEPS, WORKERS = 10, 300, 3
SHORTEST, LONGEST = 5.0, 40.0  # seconds of a round before its kill
EXTRA = {3: "raylet", 6: "gcs_server", 8: "driver"}  # killed after the workers of this round
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d")
TIMED = {"run.json", "kdbench.json", "times.jsonl", "world.json"}
FILL = [sys.executable, "-m", "kdbench", "fill", "table.yaml"]
ON_RAY = [*FILL, "executor=ray", f"workers={WORKERS}", "retries=100"]


def main() -> None:
    """Fill both tables and print the comparison; exit with 1 if a file differs."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    longest = float(sys.argv[3]) if len(sys.argv) > 3 else LONGEST
    with tempfile.TemporaryDirectory() as folder:
        peaceful, killed = (_prepared(Path(folder) / name, steps) for name in ("a", "b"))
        begin = time.monotonic()
        subprocess.run(FILL, cwd=peaceful, check=True, stdout=subprocess.DEVNULL)
        alone = time.monotonic() - begin
        begin = time.monotonic()
        kills = _filled_under_fire(killed, rounds, longest)
        seconds = time.monotonic() - begin
        faults = list(_differences(peaceful, killed))
        count = sum(1 for _ in _compared(peaceful))
    print(f"{steps} steps a row: in peace on one worker {alone:.0f} s, under fire {seconds:.0f} s")
    print("killed: " + ", ".join(f"{name} {number}" for name, number in kills.items()))
    print(f"{count} files compared, {len(faults)} differ")
    for line in faults:
        print(f"  {line}")
    if faults or kills["workers"] < 2 * rounds:
        sys.exit(1)


def _prepared(folder: Path, steps: int) -> Path:
    """A working folder with a copy of the toy world and a table."""
    toy = world()
    for part in (toy.data, toy.teacher, toy.student):
        shutil.copytree(part, folder / "world" / part.name)
    table = {
        "title": "toy world",
        "teacher": {"label": "Teacher", "checkpoint": "world/teacher"},
        "student": {"label": "Student", "checkpoint": "world/student"},
        "undistilled": "SFT",
        "rows": [{"train": {"recipe": f"toy/{name}"}} for name in ("sft", "kd", "gkd", "distillm")],
        "train": {"steps": steps, "save_every": 10},
        "evaluate": {
            "limit": 40,
            "seeds": [10, 20],
            "metrics": ["rougeL", "exact_match", "acceptance@student", "top1@student"],
        },
        "tasks": ["dolly", "vicuna"],
        "data": "world/data",
        "columns": ["dolly", "vicuna", "AVG", "acceptance"],
    }
    (folder / "table.yaml").write_text(yaml.safe_dump(table), "utf-8")
    return folder


def _filled_under_fire(folder: Path, rounds: int, longest: float) -> dict[str, int]:
    """Fill a table while its processes are killed; how many of each were."""
    kills = {"workers": 0, "raylet": 0, "gcs_server": 0, "driver": 0}
    driver = _driver(folder)
    for number in range(rounds):
        time.sleep(random.uniform(SHORTEST, longest))
        busy = _wait_for_busy(driver)
        for pid in random.sample(busy, min(2, len(busy))):
            kills["workers"] += _kill(pid)
        target = EXTRA.get(number)
        if target == "driver":
            time.sleep(random.uniform(0, SHORTEST))
            driver.kill()
            driver.wait()
            kills["driver"] += 1
            driver = _driver(folder)
        elif target is not None:
            pids = [pid for pid, name in _descendants(driver.pid) if name == target]
            kills[target] += sum(map(_kill, pids))
        print(f"round {number + 1}: killed so far {kills}", file=sys.stderr, flush=True)
    if driver.wait():
        raise SystemExit(f"the driver ended with {driver.returncode}")
    return kills


def _driver(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(ON_RAY, cwd=folder, stdout=subprocess.DEVNULL)


def _wait_for_busy(driver: "subprocess.Popen[bytes]") -> list[int]:
    """Two workers that do nodes, or fewer if the driver has ended."""
    while driver.poll() is None:
        names = _descendants(driver.pid)
        busy = [pid for pid, name in names if name.startswith(("ray::train", "ray::evaluate"))]
        if len(busy) >= 2:
            return busy
        time.sleep(0.2)
    return []


def _kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def _descendants(pid: int) -> list[tuple[int, str]]:
    """The processes that a process has started, and those that they have, with their names."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            first = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:  # it has ended
            continue
        names[int(entry.name)] = Path(first).name if first.startswith("/") else first
        children.setdefault(int(status[1]), []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append((child, names[child]))
            left.append(child)
    return found


def _compared(folder: Path) -> Iterator[Path]:
    """The files that must be equal, relative to the folder."""
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        if not file.is_file() or inner.parts[0] == "world" or inner.name in TIMED:
            continue
        if "logs" not in inner.parts and inner.suffix != ".lock":
            yield inner


def _differences(one: Path, other: Path) -> Iterator[str]:
    left, right = set(_compared(one)), set(_compared(other))
    for inner in sorted(left ^ right):
        yield f"{inner}: only {'in peace' if inner in left else 'under fire'}"
    for inner in sorted(left & right):
        if _content(one / inner) != _content(other / inner):
            yield f"{inner}: differs"


def _content(file: Path) -> bytes:
    """The bytes of a file; of a drawn table without the moments at which its rows were measured."""
    content = file.read_bytes()
    return MOMENT.sub(b"", content) if file.name == "TABLE.md" else content


if __name__ == "__main__":
    main()

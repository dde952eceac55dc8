"""`eval shards=N`: processes share an evaluation, and what dies is made up for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.evaluation import evaluate
from kdbench.filling.executor import Executor, NeedsOf
from kdbench.filling.nodes import Node
from kdbench.filling.shards import evaluate_in_shards, shard_nodes
from kdbench.filling.work import NodeResult, do
from kdbench.measuring.measurement import Evaluation
from kdbench.toy.models import World

_GENEROUS = 300  # seconds, on a loaded machine


class Scripted(Executor):
    """Runs each node at once, in this process, after the deaths that are scripted for it."""

    def __init__(self, folder: Path, needs: NeedsOf, deaths: dict[str, int] | None = None):
        super().__init__(None, folder, needs)
        self.slots, self._folder = 2, folder
        self.deaths = dict(deaths or {})
        self.begun: list[str] = []
        self._ended: list[NodeResult] = []

    def submit(self, node: Node) -> None:
        self.begun.append(node.label)
        if self.deaths.get(node.label, 0):
            self.deaths[node.label] -= 1
            self._ended.append(NodeResult(node.key, "its process died", died=True))
        else:
            self._ended.append(do(node, self._folder))

    def finished(self, timeout: float) -> list[NodeResult]:
        del timeout
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


def settings(world: World, results: Path, **keys: Any) -> EvalSettings:
    small = {"tasks": ("dolly", "vicuna"), "limit": 5, "seeds": (10, 20), "max_new_tokens": 8}
    keys = {"model": str(world.student), "data": world.data, "results": results, **small, **keys}
    return EvalSettings(**keys)


def fidelity(world: World) -> dict[str, Any]:
    return {
        "teacher": str(world.teacher),
        "undistilled": str(world.student),
        "undistilled_name": "before",
        "metrics": ("rougeL", "lm_loss", "acceptance@student"),
    }


def contents(results: Path) -> dict[str, bytes]:
    """All files of results but run.json, which holds times, and locks."""
    files = [path for path in results.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in files
        if path.name != "run.json" and not path.name.endswith(".lock")
    }


def sharded(
    wanted: EvalSettings, deaths: dict[str, int] | None = None
) -> tuple[Evaluation, list[str]]:
    made: list[Scripted] = []

    def make(folder: Path, needs: NeedsOf) -> Scripted:
        made.append(Scripted(folder, needs, deaths))
        return made[-1]

    evaluation = evaluate_in_shards(wanted, make)
    return evaluation, made[0].begun if made else []


def test_shards_give_the_bytes_of_one_process(world: World, tmp_path: Path) -> None:
    """Also of teacher and undistilled student, and where one shard has no document at all."""
    keys = fidelity(world)
    whole = evaluate(settings(world, tmp_path / "one", **keys))
    evaluation, begun = sharded(settings(world, tmp_path / "shards", shards=6, **keys))
    assert begun == [*(f"shard {index}/6" for index in range(6)), "the rest"]
    assert contents(tmp_path / "shards") == contents(tmp_path / "one")
    assert (evaluation.generated, evaluation.results) == (whole.generated, whole.results)
    again, begun = sharded(settings(world, tmp_path / "shards", shards=6, **keys))
    assert (again.generated, begun) == (0, [])


def test_a_shard_that_dies_starts_again(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = settings(world, tmp_path, shards=2)
    evaluation, begun = sharded(wanted, {"shard 1/2": 3})
    assert begun.count("shard 1/2") == 4
    assert evaluation.generated == 20
    assert "shard 1/2: its process died; starting it again" in capsys.readouterr().err


def test_a_shard_that_dies_always_ends_the_command(world: World, tmp_path: Path) -> None:
    """What the other shard made is kept, and the same command resumes."""
    wanted = settings(world, tmp_path, shards=2)
    with pytest.raises(
        InputError, match=r"shard 1/2: its process died, 4 times \(log: .*batch_size="
    ):
        sharded(wanted, {"shard 1/2": 4})
    evaluation, _ = sharded(wanted)
    assert evaluation.generated == 8  # of 20: the share of shard 1
    assert not list(evaluation.run.rglob("*shard-*.jsonl"))


def test_bad_input_leaves_nothing(world: World, tmp_path: Path) -> None:
    wanted = settings(world, tmp_path / "results", shards=2, max_new_tokens=100_000)
    with pytest.raises(InputError):
        sharded(wanted)
    assert not (tmp_path / "results").exists()


def test_a_second_command_on_the_same_run_is_refused(world: World, tmp_path: Path) -> None:
    wanted = settings(world, tmp_path, shards=2)

    def second(folder: Path, needs: NeedsOf) -> Executor:
        with pytest.raises(InputError, match="another kdbench process is already running 'shards'"):
            evaluate_in_shards(wanted, Scripted)
        return Scripted(folder, needs)

    assert evaluate_in_shards(wanted, second).generated == 20


def test_shards_neither_judge_nor_log(world: World, tmp_path: Path) -> None:
    wanted = settings(world, tmp_path, shards=2, judge="openai:x", report_to=("tensorboard",))
    for node in shard_nodes(wanted):
        assert (node.settings.judge, node.settings.report_to) == (None, ())
        assert node.settings.model_fields_set.isdisjoint({"judge", "shards"})


def test_kills_of_driver_and_workers_change_nothing(world: World, tmp_path: Path) -> None:
    """Send SIGKILL to a worker, then to the command; the same command ends with the same bytes."""
    words = [f"model={world.student}", f"data={world.data}", "tasks=dolly,vicuna", "limit=12"]
    words += ["device=cpu", "seeds=1-8", "max_new_tokens=24", "batch_size=4"]
    command = [sys.executable, "-m", "kdbench", "eval", *words, f"results={tmp_path}/n", "shards=2"]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    wait_for(lambda: samples_in(tmp_path) > 8 or process.poll() is not None)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    wait_for(lambda: b"starting it again" in log.read_bytes() or process.poll() is not None)
    process.kill()
    process.wait()
    assert b"starting it again" in log.read_bytes()
    subprocess.run(command, check=True, capture_output=True, timeout=_GENEROUS)
    keys = {"limit": 12, "seeds": range(1, 9), "max_new_tokens": 24, "batch_size": 4}
    evaluate(
        settings(world, tmp_path / "one", device="cpu", **{**keys, "seeds": tuple(range(1, 9))})
    )
    assert contents(tmp_path / "n") == contents(tmp_path / "one")


def wait_for(is_true: Any) -> None:
    end = time.monotonic() + _GENEROUS
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


def samples_in(results: Path) -> int:
    files: Sequence[Path] = list(results.rglob("*.shard-*.jsonl"))
    return sum(file.read_bytes().count(b"\n") for file in files)


def workers_of(pid: int) -> list[int]:
    """The processes that a command has spawned, without Python's resource tracker."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found

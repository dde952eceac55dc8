"""A stored run of the toy world, and a tracker that only remembers what it was told."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.toy.models import World
from kdbench.trackers import Tracker, trackers

FAST: dict[str, Any] = {
    "tasks": ["dolly", "vicuna"],
    "limit": 3,
    "seeds": (10, 20),
    "max_new_tokens": 6,
    "metrics": ("rougeL",),
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients write below the test's folder, and never use a network or a login."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_API_KEY", "TENSORBOARD_LOGGING_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_EXPERIMENT_NAME", "TRACKIO_PROJECT", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one evaluation, without any tracker."""
    results = tmp_path_factory.mktemp("made") / "results"
    kdbench.evaluate(model=str(world.student), data=world.data, results=results, **FAST)
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


class Memory(Tracker):
    """A tracker that remembers; `fails` names the call in which it fails."""

    package = "json"
    calls: list[tuple[Any, ...]]
    fails: str

    def __init__(self, name: str) -> None:
        self.id, self.place = f"id-{name}", "memory"

    @classmethod
    def _told(cls, *call: Any) -> None:
        cls.calls.append(call)
        if call[0] == cls.fails:
            raise ConnectionError("no network\nat all, token=hf_0123456789abcdefghij")

    @classmethod
    def destination(cls, run):
        return f"memory of a {run.kind}"

    @classmethod
    def open(cls, run, known):
        cls._told("open", run, known)
        return cls(run.name)

    def log(self, metrics, step):
        self._told("log", dict(metrics), step)

    def summarise(self, metrics, samples):
        self._told("summarise", dict(metrics), samples)

    def close(self, failed):
        self._told("close", failed)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> type[Memory]:
    """The tracker `memory`, with nothing in it."""
    trackers.names()
    monkeypatch.setitem(trackers._parts, "memory", Memory)
    Memory.calls, Memory.fails = [], ""
    return Memory

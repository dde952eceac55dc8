"""A student that learned from a teacher, measured on two tasks."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import kdbench
from kdbench.toy.models import World


class Made(NamedTuple):
    """A trained and measured student.

    Attributes:
        checkpoint: Folder of its checkpoint, with a run card.
        results: Folder of the results.
        run: Folder of its run.
    """

    checkpoint: Path
    results: Path
    run: Path


@pytest.fixture(scope="session")
def _made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("exchange")
    both: dict[str, Any] = {"teacher": str(world.teacher), "data": world.data, "device": "cpu"}
    few = {"steps": 2, "batch_size": 4, "limit": 8, "validation_limit": 2, "max_new_tokens": 4}
    kdbench.train(method="kd", student=str(world.student), out=folder / "mine", **few, **both)
    evaluation = kdbench.evaluate(
        model=str(folder / "mine"),
        results=folder / "results",
        tasks=["dolly", "vicuna"],
        limit=4,
        seeds=(10, 20),
        max_new_tokens=6,
        metrics=("rougeL", "exact_match", "acceptance@student"),
        **both,
    )
    return Made(folder / "mine", folder / "results", evaluation.run)


@pytest.fixture
def made(_made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A copy, which a test may change, in the working folder."""
    shutil.copytree(_made.results, tmp_path / "results")
    shutil.copytree(_made.checkpoint, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    run = Path("results") / _made.run.relative_to(_made.results)
    return Made(Path("mine"), Path("results"), run)

"""What the tests of all builders share."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from killed_builds import Recorded, files_of, kills, run_build
from told_backend import OwnEngine, Told

from kdbench.builders import builders
from kdbench.builders.workshop.build import Built, build
from kdbench.builders.workshop.recipe import make_build
from kdbench.generate import backends

BuildKilledAndResumed = Callable[..., Path]
BuildIt = Callable[..., Built]


@pytest.fixture
def build_killed_and_resumed(tmp_path: Path) -> BuildKilledAndResumed:
    """Build undisturbed; then again, killed in the middle of each step, to the same bytes.

    It takes the words of a command after `build`, without `out=`, and returns the folder of the
    undisturbed build:

        def test_a_killed_build_resumes(world, build_killed_and_resumed):
            built = build_killed_and_resumed(["select", "by=random", f"data={world.data}"])

    Each kill is followed by a resume that is killed at the next place, so that one build survives
    all of them. No line of a model's work may be written twice. `often=True` kills at the first and
    the last line of each step too; each kill takes about a second.
    """

    def run(words: Sequence[str], often: bool = False) -> Path:
        log, whole, disturbed = (tmp_path / name for name in ("log", "whole", "disturbed"))
        code, undisturbed = run_build([*words, f"out={whole}"], log)
        assert code == 0
        added = Recorded()
        for killed in kills(undisturbed, often):
            code, recorded = run_build([*words, f"out={disturbed}"], log, killed, added)
            assert code == -signal.SIGKILL, killed
            assert not disturbed.exists()
            added.work += recorded.work
        code, recorded = run_build([*words, f"out={disturbed}"], log)
        assert code == 0
        added.work += recorded.work
        assert added.work == undisturbed.work  # each line once
        assert files_of(disturbed) == files_of(whole)
        assert not disturbed.with_name("disturbed.unfinished").exists()
        return whole

    return run


@pytest.fixture(autouse=True)
def _builders_of_a_test_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    builders.names()  # finds kdbench's own
    monkeypatch.setattr(builders, "_parts", dict(builders._parts))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> type[Told]:
    """The backend of `backend=told`, which counts what it is asked."""
    backends.names()
    monkeypatch.setattr(backends, "_parts", {**backends._parts, "told": Told, "own": OwnEngine})
    Told.reset()
    return Told


@pytest.fixture
def build_it(tmp_path: Path) -> BuildIt:
    """Build with keys, and return what was built; `out` is below the test's folder.

    It takes the builder, the name of the folder, and further keys.
    """

    def run(builder: str, out: str = "out", **keys: Any) -> Built:
        return build(make_build({"builder": builder, "out": str(tmp_path / out), **keys}))

    return run

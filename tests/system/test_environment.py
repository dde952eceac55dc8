"""What a run records about the machine and the commit."""

import os
import subprocess
from pathlib import Path

import pytest

from kdbench.system.environment import git_state


def git(*arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def test_reading_the_commit_leaves_the_index_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("x")
    git("init", "-q")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    os.utime(file, (1, 1))  # `git status` alone would write the new time into the index
    index = (tmp_path / ".git" / "index").read_bytes()
    state = git_state()
    assert state is not None
    assert (len(state["commit"]), state["dirty"]) == (40, False)
    assert (tmp_path / ".git" / "index").read_bytes() == index
    file.write_text("y")
    assert git_state() == {"commit": state["commit"], "dirty": True}

"""A copy of the toy world for the doctor, sound until a test breaks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import copy_into
from ward import Ward

from kdbench.toy.models import World


@pytest.fixture
def ward(world: World, tmp_path: Path) -> Iterator[Ward]:
    for name in ("data", "teacher", "student"):
        copy_into(getattr(world, name), tmp_path / name)
    yield Ward(*(tmp_path / name for name in ("data", "teacher", "student", "out")))
    assert not (tmp_path / "out").exists()  # looking writes nothing

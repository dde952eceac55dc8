"""A small toy world, made once for all workers of a test run."""

import os

import pytest
import torch
from filelock import FileLock

os.environ["HF_HUB_OFFLINE"] = "1"  # tests must not use the network
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("KDBENCH_DATA", None)

from kdbench.toy.models import World, make_world

# Several multi-threaded processes on few cores spend most of their time waiting.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The toy world of the test run, shared by its workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with FileLock(shared / "world.lock"):
        return make_world(shared / "world", teacher_steps=60, student_steps=30, train=600, test=12)

"""A small toy world, made once for all workers of a test run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from filelock import FileLock
from hypothesis import settings

# Before torch is imported. Processes that a test starts inherit it. Several multi-threaded
# processes on few cores spend most of their time waiting.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"  # tests must not use the network
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What a shell exports must not change what a test sees.
os.environ.pop("KDBENCH_DATA", None)
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)  # readline exports it to the workers of xdist; see output_width
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("CLICOLOR_FORCE", None)

from kdbench.system.threads import wait_passively

wait_passively()

from kdbench.builders import builders  # noqa: E402
from kdbench.methods import methods  # noqa: E402
from kdbench.registry import plugins  # noqa: E402
from kdbench.toy.models import World, make_world  # noqa: E402 - torch is imported here

# No deadline: on a busy machine any example can take seconds.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=200)
settings.load_profile("tests")


@contextmanager
def _own_registry() -> Iterator[None]:
    """What is registered, or loaded with plugins=, is gone afterwards."""
    methods.names()  # finds kdbench's own
    builders.names()
    modules = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "_parts", dict(methods._parts))
        patch.setattr(builders, "_parts", dict(builders._parts))
        patch.setattr(plugins, "_loaded", dict(plugins._loaded))
        yield
    for name in set(sys.modules) - modules:
        if name.startswith("kdbench_plugin_"):
            del sys.modules[name]


@pytest.fixture(autouse=True, scope="module")
def _a_modules_methods_go_with_it() -> Iterator[None]:
    """Those that fixtures of a whole module register."""
    with _own_registry():
        yield


@pytest.fixture(autouse=True)
def _a_tests_methods_go_with_it() -> Iterator[None]:
    with _own_registry():
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The toy world of the test run, shared by its workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with FileLock(shared / "world.lock"):
        return make_world(shared / "world", teacher_steps=60, student_steps=30, train=600, test=12)

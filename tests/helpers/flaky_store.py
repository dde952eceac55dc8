"""A file system of fsspec that fails as networks do: at random, half way, slowly or for good."""

import random
import time
from typing import ClassVar

from fsspec.implementations.memory import MemoryFileSystem


class FlakyStore(MemoryFileSystem):
    """Objects in memory; like an object store, it shows an object when all of it has arrived.

    Attributes:
        faults: Share of the calls that fail, at their start or before their end.
        down: Whether every call fails.
        puts: Paths in the order in which they appeared.
        stop_after: Number of uploads after which the store goes down; None for never.
        slow: Seconds that a listing takes.
    """

    protocol = "flaky"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    faults = 0.0
    down = False
    puts: ClassVar[list[str]] = []
    stop_after: int | None = None
    slow = 0.0
    _random = random.Random(5)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("flaky://", "/"))

    @classmethod
    def fresh(cls) -> type["FlakyStore"]:
        cls.store, cls.pseudo_dirs, cls.puts = {}, [""], []
        cls.faults, cls.down, cls.stop_after, cls.slow = 0.0, False, None, 0.0
        return cls

    @classmethod
    def contents(cls) -> dict[str, bytes]:
        """All objects but those of kdbench itself, by path without the bucket."""
        return {
            path.partition("/bucket/")[2]: file.getvalue()
            for path, file in cls.store.items()
            if "/.kdbench-remote/" not in path
        }

    def _may_fail(self, call: str) -> None:
        if self.down or self._random.random() < self.faults:
            raise OSError(f"{call}: connection reset by peer")

    def _arrived(self, path: str) -> None:
        self.puts.append(self._strip_protocol(path).partition("/bucket/")[2])
        if self.stop_after is not None and len(self.puts) >= self.stop_after:
            type(self).down = True

    def find(self, path, *args, **kwargs):
        time.sleep(self.slow)
        self._may_fail("list")
        return super().find(path, *args, **kwargs)

    def info(self, path, **kwargs):
        self._may_fail("head")
        return super().info(path, **kwargs)

    def cat_file(self, path, *args, **kwargs):
        self._may_fail("get")
        return super().cat_file(path, *args, **kwargs)

    def get_file(self, rpath, lpath, *args, **kwargs):
        self._may_fail("get")
        if self._random.random() < self.faults:  # half of it arrives
            with open(lpath, "wb") as file:
                file.write(super().cat_file(rpath)[: self.size(rpath) // 2])
            raise OSError("get: connection reset by peer")
        super().get_file(rpath, lpath, *args, **kwargs)

    def pipe_file(self, path, value, *args, **kwargs):
        self._may_fail("put")
        super().pipe_file(path, value, *args, **kwargs)
        self._arrived(path)
        self._may_fail("put")  # it arrived, and nobody knows

    def put_file(self, lpath, rpath, *args, **kwargs):
        del args, kwargs
        with open(lpath, "rb") as file:
            self.pipe_file(rpath, file.read())

"""Nodes that take no model: for tests of what runs nodes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError
from kdbench.filling.nodes import Node


@dataclass(frozen=True)
class Small(Node):
    """A node that writes what it saw into its place.

    Attributes:
        fault: What goes wrong: nothing, `input`, or `killed` once.
        wait_for: File that must exist before it ends.
    """

    kind = "small"

    fault: str = ""
    wait_for: Path | None = None

    def is_done(self) -> bool:
        return self.place.exists()

    def amount(self) -> None:
        return None

    def run(self) -> bool:
        with self.place.with_suffix(".begun").open("a") as file:
            file.write("begun\n")
        if self.fault == "input":
            raise InputError("learning_rate=: too large")
        begun = self.place.with_suffix(".begun").read_text().count("begun")
        if self.fault == "killed" and begun == 1:
            os.kill(os.getpid(), 9)
        while self.wait_for is not None and not self.wait_for.exists():
            time.sleep(0.05)
        self.place.write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
        return True


def small(folder: Path, label: str = "A", **values: object) -> Small:
    """A node whose outcome is in a folder."""
    return Small(label, (), label * 8, folder / f"{label}.txt", **values)


def run_all(executor, nodes) -> dict[str, object]:
    """Run nodes and close the executor; the results by key."""
    results = {}
    try:
        executor.begin(nodes)
        for node in nodes:
            executor.submit(node)
        while len(results) < len(nodes):
            results |= {result.key: result for result in executor.finished(1.0)}
    finally:
        executor.close()
    return results

"""Executors by name, one per file: where the nodes of a table run."""

from kdbench.filling.executor import Executor
from kdbench.registry import Registry

__all__ = ["Executor", "executors"]

executors: Registry[type[Executor]] = Registry(
    "executor", "kdbench.filling.executors", "kdbench.executors"
)

"""Registries that find metrics, methods and backends by name, built-in or from other packages.

A built-in class registers itself with a decorator in its own file, and the first look-up imports
every file of the package; so adding one means adding a file. Other packages name theirs in an
entry-point group (`kdbench.metrics`, `kdbench.backends`, `kdbench.methods`, `kdbench.tasks`,
`kdbench.trackers`). A notebook, a script or a file of `plugins=` uses the decorator itself.
"""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from kdbench.errors import InputError, nearest
from kdbench.registry.plugins import is_own_part

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes of one kind, such as metrics, by name.

    Args:
        kind: Word for one of them in messages, such as "metric".
        package: Package whose modules register the built-in ones.
        group: Entry-point group that other packages use.
        prepare: Function that is called once with each new class.
    """

    def __init__(
        self, kind: str, package: str, group: str, prepare: Callable[[T], None] | None = None
    ):
        self.kind, self.package, self.group = kind, package, group
        self._prepare = prepare
        self._parts: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """Register the decorated class under a name.

        A user's own class, of a notebook, a script or a file of `plugins=`, replaces the one that
        the same place registered before, so that a cell or a changed file can run again.

        Raises:
            InputError: The name is taken.
        """

        def add(registered: T) -> T:
            own = is_own_part(registered)
            if own:
                self._find_all()  # a taken name is its own fault, not that of a later look-up
            known = self._parts.get(name)
            if known is registered:
                return registered
            if known is not None and not (own and _module_of(known) == _module_of(registered)):
                raise InputError(f"two {self.kind}s are named '{name}': rename one of them")
            if self._prepare is not None:
                self._prepare(registered)
            self._parts[name] = registered
            return registered

        return add

    def names(self) -> list[str]:
        """The names of all, built-in and from other packages, sorted."""
        self._find_all()
        return sorted(self._parts)

    def get(self, name: str) -> T:
        """The class registered under a name.

        Raises:
            InputError: The name is unknown; the message suggests the nearest one.
        """
        self._find_all()
        if name not in self._parts:
            raise InputError(f"unknown {self.kind} '{name}': {nearest(name, self._parts)}")
        return self._parts[name]

    def _find_all(self) -> None:
        if self._complete:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for entry in entry_points(group=self.group):
            try:
                loaded = entry.load()
            except (ImportError, AttributeError) as error:
                raise InputError(f"entry point {self.group}:{entry.name}: {error}") from error
            self.register(entry.name)(loaded)
        self._complete = True


def _module_of(part: object) -> object:
    return getattr(part, "__module__", None)

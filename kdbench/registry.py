"""One registry for every kind of part: found by name, built-in or from another package.

A built-in registers itself with the decorator in its own file, and every file of the kind's
package is imported at the first look-up; so a new part is one new file. Other packages name theirs
in an entry-point group (`kdbench.metrics`, `kdbench.backends`, `kdbench.methods`,
`kdbench.tasks`).
"""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from kdbench.errors import InputError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Parts of one kind (metrics, backends), by name.

    Args:
        kind: the word for one part in messages, such as "metric".
        package: the package whose modules register the built-ins.
        group: the entry-point group that other packages use.
    """

    def __init__(self, kind: str, package: str, group: str):
        self.kind, self.package, self.group = kind, package, group
        self._parts: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a part with its name.

        Raises:
            InputError: another part already has this name.
        """

        def add(part: T) -> T:
            if self._parts.setdefault(name, part) is not part:
                raise InputError(f"two {self.kind}s are named '{name}': rename one of them")
            return part

        return add

    def names(self) -> list[str]:
        """All names, built-in and installed, sorted."""
        self._find_all()
        return sorted(self._parts)

    def get(self, name: str) -> T:
        """The part of this name.

        Raises:
            InputError: no part has this name; the line names the nearest one.
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
                part = entry.load()
            except (ImportError, AttributeError) as error:
                raise InputError(f"entry point {self.group}:{entry.name}: {error}") from error
            self.register(entry.name)(part)
        self._complete = True

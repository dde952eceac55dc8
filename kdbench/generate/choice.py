"""The backend that `backend=` and `backend_options=` name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Backend, backends
from kdbench.registry.plugins import stamp_of
from kdbench.system.secrets import public


@dataclass(frozen=True)
class BackendChoice:
    """A backend and its options, checked.

    Attributes:
        given: Value of `backend=`: `NAME` or `NAME:ARGUMENT`.
        kind: Class of the backend.
        argument: Text after the colon.
        engine: Options of the backend itself.
        stamp: Hash of the code of a user's own backend; empty for an installed one.
    """

    given: str
    kind: type[Backend]
    argument: str
    engine: Mapping[str, Any]
    stamp: str = ""

    @property
    def own_engine(self) -> bool:
        """Whether the backend chooses the batch composition itself."""
        return self.kind.own_engine

    @property
    def is_served(self) -> bool:
        """Whether the weights are on a server, and `model=` is a name known there."""
        return self.kind.is_served(self.argument)

    @property
    def has_top_scores(self) -> bool:
        """Whether the backend reports log-probabilities."""
        return self.kind.top_scores is not Backend.top_scores

    @property
    def identity(self) -> str:
        """The backend's part in the hash of a run: its name, and what affects the text.

        That is its options, and the code of a user's own backend.
        """
        hashed = self._options_except(self.kind.silent_options)
        if self.stamp:
            hashed |= {"code": self.stamp}
        return f"{self.given} {json.dumps(hashed)}" if hashed else self.given

    @property
    def recorded(self) -> dict[str, Any]:
        """The options for `run.json`, without secrets."""
        options: dict[str, Any] = public(self._options_except(self.kind.secret_options))
        return options

    def _options_except(self, names: Any) -> dict[str, Any]:
        return {key: value for key, value in sorted(self.engine.items()) if key not in names}


def choose_backend(given: str, engine: Mapping[str, Any]) -> BackendChoice:
    """Look up a backend and check its options.

    Args:
        given: Value of `backend=`: `NAME` or `NAME:ARGUMENT`.
        engine: Value of `backend_options=`.

    Raises:
        InputError: The backend is unknown, or does not take the argument or an option.
    """
    name, colon, argument = given.partition(":")
    registered = backends.get(name)
    kind = _with_defaults(registered)
    if colon and not argument:
        raise InputError(f"backend={given}: an argument must follow the colon")
    kind.check(argument, engine)
    return BackendChoice(given, kind, argument, engine, stamp_of(registered))


def _with_defaults(kind: type[Any]) -> type[Backend]:
    """Return the class itself, or with the defaults of `Backend` if it does not inherit them."""
    if issubclass(kind, Backend):
        return kind
    return type(kind.__name__, (kind, Backend), {"__doc__": kind.__doc__})

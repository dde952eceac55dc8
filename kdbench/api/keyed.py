"""How a public function, whose parameters are the keys of a verb, calls the verb.

The functions of `functions.py` are only their signatures. A key that is not given must not reach
the verb, because defaults differ by protocol, run card and baseline.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar


class HasRows(Protocol):
    """A pandas data frame."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def iterrows(self) -> Any:
        """Yield the rows."""


Rows: TypeAlias = Sequence[Mapping[str, Any]] | HasRows
"""Prompts: mappings with a prompt and perhaps references, or a pandas data frame of such rows."""

P = ParamSpec("P")
R = TypeVar("R")


def keyed(signature: Callable[P, R]) -> Callable[P, R]:
    """Return a function with this signature that calls its namesake of `kdbench.api.calls`.

    The namesake gets the keys that were given, by name; wrong ones are its errors.
    """
    positional = signature.__code__.co_varnames[: signature.__code__.co_argcount]

    @wraps(signature)
    def call(*arguments: P.args, **keys: P.kwargs) -> R:
        from kdbench.api import calls

        if len(arguments) > len(positional) or set(positional[: len(arguments)]) & set(keys):
            from inspect import signature as signature_of

            signature_of(signature).bind(*arguments, **keys)  # raises Python's own TypeError
        given: dict[str, Any] = {**dict(zip(positional, arguments, strict=False)), **keys}
        result: R = getattr(calls, signature.__name__)(_plain(given))
        return result

    return call


def _plain(value: Any) -> Any:
    """The value with paths as texts, because many a key names a path or something else."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(map(_plain, value))
    return value

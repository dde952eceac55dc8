"""Which registry a class belongs to."""

import sys
from typing import Any

from kdbench.errors import InputError

_KINDS = {
    "metric": ("kdbench.metrics", "Metric", "metrics"),
    "method": ("kdbench.methods", "Method", "methods"),
    "backend": ("kdbench.generate", "Backend", "backends"),
    "analysis": ("kdbench.analyses", "Analysis", "analyses"),
}


def register_part(part: Any, name: str | None) -> Any:
    """Register a class by its kind, and return it.

    Args:
        part: Class of a metric, method or backend.
        name: Its name; None if the class has one.

    Raises:
        InputError: It is something else, has no name, or the name is taken.
    """
    for kind, (module, base, registry) in _KINDS.items():
        # Without its module a class cannot inherit from the base.
        room = sys.modules.get(module)
        if room is None or not isinstance(part, type) or not issubclass(part, getattr(room, base)):
            continue
        own = getattr(part, "name", None) if kind == "metric" else None
        if name is None and own is None:
            raise InputError(
                f"{part.__name__}: a {kind} needs a name: @kdbench.register('{kind}_name')"
            )
        if name is not None and own is not None and name != own:
            raise InputError(f"metric '{name}' calls itself '{own}': the two names must be equal")
        return getattr(room, registry).register(name or own)(part)
    shown = part.__name__ if isinstance(part, type) else repr(part)[:60]
    raise InputError(
        f"{shown}: not a class of a metric, method or backend; inherit from a class of "
        "kdbench.metrics, from kdbench.methods.Method or kdbench.generate.Backend"
    )

"""kdbench: benchmark distilled language-model students and compare them in one table.

    import kdbench

    evaluation = kdbench.evaluate("path/to/student", data="path/to/data", limit=20)
    table = kdbench.table("results")
    print(table)

Every function takes the keys of the command of the same name.
"""

from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.version import __version__ as __version__

if TYPE_CHECKING:
    from kdbench.api.functions import (
        build,
        cache,
        compare,
        evaluate,
        fill,
        frontier,
        judge,
        kld,
        mechanisms,
        plan,
        regress,
        report,
        score,
        speed,
        table,
        train,
    )
    from kdbench.api.stored import register, results, samples

__all__ = [
    "InputError",
    "build",
    "cache",
    "compare",
    "evaluate",
    "fill",
    "frontier",
    "judge",
    "kld",
    "mechanisms",
    "plan",
    "register",
    "regress",
    "report",
    "results",
    "samples",
    "score",
    "speed",
    "table",
    "train",
]


def __getattr__(name: str) -> Any:
    """The public functions, imported when the first of them is used."""
    if name not in __all__:
        raise AttributeError(f"module 'kdbench' has no attribute '{name}'")
    from kdbench.api import functions, stored

    value = getattr(functions if hasattr(functions, name) else stored, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

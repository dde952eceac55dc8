"""kdbench: benchmark distilled language-model students and compare them in one table.

    import kdbench

    evaluation = kdbench.evaluate("path/to/student", data="path/to/data", limit=20)
    table = kdbench.table("results")
    print(table)

Every function takes the keys of the command of the same name.
"""

from kdbench.api.functions import (
    compare,
    evaluate,
    fill,
    judge,
    plan,
    regress,
    report,
    score,
    speed,
    table,
    train,
)
from kdbench.api.stored import register, results, samples
from kdbench.errors import InputError
from kdbench.version import __version__ as __version__

__all__ = [
    "InputError",
    "compare",
    "evaluate",
    "fill",
    "judge",
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

"""What the run card keeps of the log: each value's mean toward the end of training."""

from collections.abc import Iterable, Mapping
from typing import Any

from kdbench.store.schema import is_number

_OF_STEPS = {"step", "epoch", "stage"}
_END = 4  # the means are over the last quarter


def log_means(lines: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The mean of each value of a log over the last quarter of the lines that have it.

    Args:
        lines: The lines of a log, in order: losses, terms, diagnostics, notes and validations.

    Returns:
        The means by name, without values that are not finite or too large to be stored.
    """
    columns: dict[str, list[float]] = {}
    for line in lines:
        for name in line.keys() - _OF_STEPS:
            if is_number(line[name]):
                columns.setdefault(name, []).append(line[name])
    ends = {name: values[-max(1, len(values) // _END) :] for name, values in columns.items()}
    return {name: sum(ends[name]) / len(ends[name]) for name in sorted(ends)}

"""The prompts of two sides, paired by id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from kdbench.comparing.sides import Side
from kdbench.errors import InputError


@dataclass(frozen=True)
class Pairs:
    """One task and metric of both sides.

    Attributes:
        ids: prompts that both have a score of.
        base: their scores, shape (n,).
        new: the same of the new run.
        unknown: common prompts without a score on one side or both.
        nested: new - base by prompt and seed, shape (n, k), for the hierarchical bootstrap.
    """

    ids: tuple[str, ...]
    base: np.ndarray
    new: np.ndarray
    unknown: int
    nested: np.ndarray | None = None


def pair(base: Side, new: Side, task: str, metric: str, by_seed: bool = False) -> Pairs:
    """Pair one task and metric.

    Args:
        base: what is compared with.
        new: what is judged.
        task: that both have.
        metric: that both have.
        by_seed: keep the seeds apart, too.

    Raises:
        InputError: the seeds are wanted, and a side has no samples that hold them.
    """
    one, other = base.tasks[task], new.tasks[task]
    theirs = {document: row for row, document in enumerate(other.ids)}
    rows = [(row, theirs[each]) for row, each in enumerate(one.ids) if each in theirs]
    mine, at = np.array(rows, dtype=np.intp).reshape(-1, 2).T
    a, b = one.metrics[metric].means[mine], other.metrics[metric].means[at]
    known = ~(np.isnan(a) | np.isnan(b))
    nested = None
    if by_seed:
        nested = (_seeds(new, task, metric)[at] - _seeds(base, task, metric)[mine])[known]
    ids = tuple(one.ids[row] for row in mine[known])
    return Pairs(ids, a[known], b[known], int((~known).sum()), nested)


def _seeds(side: Side, task: str, metric: str) -> np.ndarray:
    scores = side.by_seed(task, metric)
    if scores is None or np.isnan(scores).any():
        raise InputError(
            f"interval=hierarchical: {side.label} has no samples with {metric} of '{task}' for "
            "every seed; use interval=bootstrap"
        )
    return scores


def left_out(
    base: Side, new: Side, pairs: Mapping[str, Pairs], metric: str
) -> Iterator[tuple[str, str]]:
    """Which prompts do not count, by task, a line each."""
    for task, one in pairs.items():
        if one.unknown:
            yield task, f"{one.unknown} prompts have no {metric} on one side and are left out"
        ids = set(base.tasks[task].ids), set(new.tasks[task].ids)
        for side, mine, theirs in ((base, *ids), (new, *ids[::-1])):
            if only := len(mine - theirs):
                yield task, f"{only} of {len(mine)} prompts are only in {side.label}, left out"

"""Who is right on tasks with closed answers: student, teacher or both, by row and training seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.analyses.seeded.scores import RunsBySeed
from kdbench.errors import InputError, nearest
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun

if TYPE_CHECKING:
    import numpy as np

CELLS = ("answers_rr", "answers_wws", "answers_wr", "answers_rw", "answers_wwd")
"""Both right, both wrong with one answer, only the student right, only the teacher, and both wrong
with different answers; the first two are agreement."""
OPTION_KL = "option_fkl"


@dataclass(frozen=True)
class AnsweredTable:
    """The answers of a table's rows.

    Attributes:
        labels: The rows, the undistilled student first.
        seeds: The training seeds that all of them have.
        tasks: The tasks with closed answers.
        cells: Shares of the cells of `CELLS`, (rows, seeds, tasks, 5).
        option_kl: KL(teacher‖student) over options in nats, (rows, seeds, tasks with options).
        left_out: Rows that do not compare with the undistilled student, by the reason.
    """

    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    cells: "np.ndarray"
    option_kl: "np.ndarray"
    left_out: Mapping[str, tuple[str, ...]]


def answered_table(runs: RunsBySeed, undistilled: str | None, place: str) -> AnsweredTable:
    """Read who is right, of all rows that compare with the undistilled student.

    Rows that began from another student or learned from another teacher are left out, and so are
    those that lack a training seed of the undistilled student, or a task, and those that were
    measured on other prompts or compared with another teacher.

    Args:
        runs: The runs of the table.
        undistilled: Label of the undistilled student; None for the one that the results name.
        place: Where they are from, for messages.

    Raises:
        InputError: No run names the undistilled student, it is no row, has fewer than two training
            seeds or no closed answers, or no other row compares with it.
    """
    import numpy as np

    first = _undistilled(runs, undistilled, place)
    base = runs[first]
    tasks = [task for task in next(iter(base.values())).results if _has(base, task, CELLS)]
    if not tasks:
        raise InputError(
            f"{place}: {first} has no closed answers compared with a teacher's (answers_rr): fill "
            "the table on tasks with options or short answers, such as tasks: [skills]"
        )
    kept, left_out = {first: base}, dict[str, list[str]]()
    for label, by_seed in runs.items():
        if label == first:
            continue
        if reason := _why_not(by_seed, base, tasks):
            left_out.setdefault(reason, []).append(label)
        else:
            kept[label] = by_seed
    if len(kept) < 2:
        why = "; ".join(f"{reason}: {', '.join(of)}" for reason, of in left_out.items())
        raise InputError(f"{place}: no row compares with {first}; {why or 'there is no other'}")
    seeds = tuple(sorted(base))
    rows = [[by_seed[seed] for seed in seeds] for by_seed in kept.values()]
    optional = [task for task in tasks if all(_has(of, task, (OPTION_KL,)) for of in kept.values())]
    return AnsweredTable(
        tuple(kept),
        seeds,
        tuple(tasks),
        np.stack([_values(rows, tasks, cell) for cell in CELLS], axis=-1),
        _values(rows, optional, OPTION_KL),
        {reason: tuple(of) for reason, of in left_out.items()},
    )


def _undistilled(runs: RunsBySeed, given: str | None, place: str) -> str:
    """The label of the undistilled student."""
    label = given
    if label is None:
        every = [run for by_seed in runs.values() for run in by_seed.values()]
        floors = [((r.teacher or {}).get("undistilled") or {}).get("name") for r in _results(every)]
        names = list(dict.fromkeys(str(name) for name in floors if name))
        if len(names) != 1:
            found = f"its results name {', '.join(names)}" if names else "its results name none"
            raise InputError(
                f"{place}: undistilled= is missing: the label of the row that learned without the "
                f"teacher ({found}); rows: {', '.join(runs)}"
            )
        label = names[0]
    if label not in runs:
        raise InputError(
            f"{place}: undistilled={label}: no row of this name has several training seeds: "
            f"{nearest(label, runs)}"
        )
    return label


def _results(runs: Sequence[StoredRun]) -> list[TaskResult]:
    return [result for run in runs for result in run.results.values()]


def _why_not(
    by_seed: Mapping[int, StoredRun], base: Mapping[int, StoredRun], tasks: Sequence[str]
) -> str | None:
    """Why a row does not compare with the undistilled student; None if it does."""
    if not set(base) <= set(by_seed):
        return "with fewer training seeds"
    if not all(_has(by_seed, task, CELLS) for task in tasks):
        return "not measured on all tasks"
    if reason := _measured_otherwise((*by_seed.values(), *base.values()), tasks):
        return reason
    one, other = next(iter(by_seed.values())), next(iter(base.values()))
    starts = _word(one, "train", "student"), _word(other, "train", "student")
    if None not in starts and starts[0] != starts[1]:
        return "from another student"
    teachers = _word(one, "train", "teacher"), _word(one, "eval", "teacher")
    if None not in teachers and teachers[0] != teachers[1]:
        return "with another teacher"
    return None


def _measured_otherwise(runs: Sequence[StoredRun], tasks: Sequence[str]) -> str | None:
    """What differs in how runs were measured; None if nothing does."""
    for task in tasks:
        results = [run.results[task] for run in runs]
        if len({str(result.fingerprint) for result in results}) > 1:
            return "measured on other prompts"
        # A teacher on a server has no hash.
        if len({(result.teacher or {}).get("sha256") for result in results} - {None}) > 1:
            return "compared with another teacher"
    return None


def _word(run: StoredRun, verb: str, key: str) -> str | None:
    """The value of a key in the last command of a verb; None if unknown."""
    commands = [words for words in run.record.get("commands") or () if words[1:2] == [verb]]
    start = f"{key}="
    found = [word for word in (commands[-1] if commands else ()) if word.startswith(start)]
    return found[-1].removeprefix(start) if found else None


def _has(by_seed: Mapping[int, StoredRun], task: str, metrics: Sequence[str]) -> bool:
    """Whether a row has numbers of a task in all training seeds."""
    results = [run.results.get(task) for run in by_seed.values()]
    return all(
        result is not None
        and all(name in result.metrics for name in metrics)
        and all(result.metrics[name].value is not None for name in metrics)
        for result in results
    )


def _values(rows: Sequence[Sequence[StoredRun]], tasks: Sequence[str], metric: str) -> "np.ndarray":
    """A metric's numbers, (rows, seeds, tasks)."""
    import numpy as np

    found = [
        [[run.results[task].metrics[metric].value for task in tasks] for run in row] for row in rows
    ]
    return np.array(found, dtype=float).reshape(len(rows), len(rows[0]), len(tasks))

"""From the numbers of the runs to curves, gains and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from kdbench.frontiers.curve import common_range
from kdbench.frontiers.gain import CurveNumbers, Gain, curve_of, find_gain, find_mean
from kdbench.frontiers.measure import MeasuredStudent
from kdbench.frontiers.scores import CurveScores, read_scores
from kdbench.stats.paired import holm
from kdbench.store.frontiers import (
    FrontierGain,
    FrontierNumber,
    FrontierPoint,
    FrontierRecord,
    FrontierStudent,
    FrontierTraining,
    FrontierVerdict,
    temperature_key,
)
from kdbench.store.recipes import paired_trainings
from kdbench.text import counted
from kdbench.version import __version__

LEVEL = 0.05
_NARROW = 0.5  # share of the baseline's range below which a note says what a gain covers


@dataclass(frozen=True)
class _Seeded:
    """The numbers of a training, with its seed."""

    training_seed: int | None
    numbers: CurveNumbers


def conclude(
    title: str, students: Sequence[MeasuredStudent], metric: str | None, folder: Path
) -> FrontierRecord:
    """Compare the curves of students with the first one's.

    Args:
        title: What the students are.
        students: Students whose runs exist, the baseline first.
        metric: Metric of quality; None for the default.
        folder: Folder of the runs.

    Raises:
        InputError: As for `read_scores`.
    """
    scores = read_scores(students, metric)
    seeded = [_seeded(student, scores) for student in students]
    curves = [_curve_of_student(student, scores, folder) for student in students]
    concluded = [
        curves[0],
        *(
            _compared(curve, own, seeded[0], scores)
            for curve, own in zip(curves[1:], seeded[1:], strict=True)
        ),
    ]
    return FrontierRecord(
        complete=True,
        title=title,
        metric=scores.quality.name,
        unit=scores.quality.unit,
        direction=scores.quality.direction,
        tasks=scores.tasks,
        prompts=scores.prompts,
        protocol=dict(scores.protocol),
        limit=scores.limit,
        baseline=students[0].label,
        students=tuple(_with_verdicts(concluded)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        kdbench_version=__version__,
    )


def _curve_of_student(
    student: MeasuredStudent, scores: CurveScores, folder: Path
) -> FrontierStudent:
    """A student with its curve, not yet compared."""
    trainings = [
        FrontierTraining(
            name=training.name,
            seed=training.seed,
            sha256=scores.hashes[training.name],
            runs={
                temperature_key(t): path.relative_to(folder).as_posix()
                for t, path in training.runs.items()
            },
        )
        for training in student.trainings
    ]
    own = _seeded(student, scores)
    return FrontierStudent(
        label=student.label,
        trainings=tuple(trainings),
        points=tuple(_points(own, scores)),
        notes=tuple(_of_order(own, scores.temperatures)),
    )


def _compared(
    student: FrontierStudent, own: Sequence[_Seeded], other: Sequence[_Seeded], scores: CurveScores
) -> FrontierStudent:
    """A student with its gain over the baseline.

    Args:
        student: The student, not yet compared.
        own: Its numbers.
        other: Those of the baseline.
        scores: What all students scored.
    """
    pairs, notes = _pairs(own, other)
    curve, base = curve_of(_mean(own)), curve_of(_mean(other))
    shared, found = common_range(curve, base), find_gain(pairs)
    tasks = {
        task: _signed(find_gain([([a[k]], [b[k]]) for a, b in pairs]), scores)
        for k, task in enumerate(scores.tasks)
    }
    reason = ""
    if found is None or shared is None:
        found = None
        ends = [f"{line.x[0]:.3f} to {line.x[-1]:.3f}" for line in (curve, base)]
        reason = (
            f"its entropies, {ends[0]} nats, and those of the baseline, {ends[1]}, have no range "
            "in common; add temperatures="
        )
    elif found.p is None:
        reason = "an interval needs two prompts of each task, and ranges that meet without any one"
    elif (share := _share(shared, base.x)) < _NARROW:
        notes.append(f"the common range is {share:.0%} of the range of the baseline")
    return student.model_copy(
        update={
            "gain": _signed(found, scores),
            "shared": shared,
            "tasks": tasks,
            "reason": reason,
            "notes": (*student.notes, *notes),
        }
    )


def _share(shared: tuple[float, float], x: np.ndarray) -> float:
    width = float(x[-1] - x[0])
    return (shared[1] - shared[0]) / width if width else 1.0


def _seeded(student: MeasuredStudent, scores: CurveScores) -> list[_Seeded]:
    return [_Seeded(t.seed, scores.trainings[t.name]) for t in student.trainings]


def _mean(trainings: Sequence[_Seeded]) -> CurveNumbers:
    """The numbers of a student, means over its trainings."""
    of_tasks = zip(*(training.numbers for training in trainings), strict=True)
    return [np.mean(of_task, axis=0) for of_task in of_tasks]


def _pairs(
    own: Sequence[_Seeded], other: Sequence[_Seeded]
) -> tuple[list[tuple[CurveNumbers, CurveNumbers]], list[str]]:
    """The trainings that are compared; a single one of the baseline or student meets all others."""
    if len(own) == len(other) == 1:
        return [(own[0].numbers, other[0].numbers)], []
    if 1 in (len(own), len(other)):
        which = "its baseline" if len(other) == 1 else "it"
        note = f"{which} has a single training, so the interval does not know that one's chance"
        return [(a.numbers, b.numbers) for a in own for b in other], [note]
    pairs = paired_trainings(own, other)
    left = max(len(own), len(other)) - len(pairs)
    notes = [f"{counted(left, 'training')} without a partner left out"] if left else []
    return [(a.numbers, b.numbers) for a, b in pairs], notes


def _points(trainings: Sequence[_Seeded], scores: CurveScores) -> list[FrontierPoint]:
    """The points of the curve, means over trainings, in the metric's own direction."""
    points = []
    for place, temperature in enumerate(scores.temperatures):
        numbers = [
            find_mean([[of_task[axis, place] for of_task in t.numbers] for t in trainings])
            for axis in (0, 1)
        ]
        entropy, quality = (FrontierNumber(value=g.value, low=g.low, high=g.high) for g in numbers)
        points.append(FrontierPoint(temperature=temperature, entropy=entropy, quality=quality))
    return points


def _of_order(trainings: Sequence[_Seeded], temperatures: Sequence[float]) -> list[str]:
    """A note if the mean entropy does not rise with the temperature."""
    entropies = np.mean([of_task[0].mean(axis=-1) for of_task in _mean(trainings)], axis=0)
    falls = np.flatnonzero(np.diff(entropies) <= 0)
    if not len(falls):
        return []
    first = int(falls[0])
    return [
        f"its entropy does not rise from temperature {temperatures[first]:g} to "
        f"{temperatures[first + 1]:g}; points are joined in the order of entropy"
    ]


def _signed(gain: Gain | None, scores: CurveScores) -> FrontierGain | None:
    """The gain as stored, positive is better."""
    if gain is None:
        return None
    if gain.low is None or gain.high is None:
        return FrontierGain(value=scores.quality.sign * gain.value)
    low, high = sorted(scores.quality.sign * end for end in (gain.low, gain.high))
    return FrontierGain(value=scores.quality.sign * gain.value, low=low, high=high, p=gain.p)


def _with_verdicts(students: Sequence[FrontierStudent]) -> list[FrontierStudent]:
    """The students with p-values by Holm's method, and what follows from them."""
    p_values = {s.label: s.gain.p for s in students if s.gain and s.gain.p is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        student.model_copy(
            update={"adjusted_p": adjusted[student.label], "verdict": _verdict(student, adjusted)}
        )
        if student.label in adjusted
        else student
        for student in students
    ]


def _verdict(student: FrontierStudent, adjusted: Mapping[str, float]) -> FrontierVerdict:
    if student.gain is None or adjusted[student.label] > LEVEL:
        return "on"
    return "above" if student.gain.value > 0 else "below"

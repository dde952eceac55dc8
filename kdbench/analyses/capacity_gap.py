"""Whether a better teacher makes a better student, at a fixed student.

Question: Mirzadeh et al. 2020 (arXiv 1902.03393): a student degrades when the gap to its teacher is
    large. Cho and Hariharan 2019 (arXiv 1910.01348): larger models often do not make better
    teachers. Zhang et al. 2025 (arXiv 2311.07052): for language models the best teacher's size
    grows linearly with the student's. Abstracts read; their numbers are not used here.
Design: one student, one number of steps, one method; teachers of several sizes, which differ in
    nothing else. Each is one training, so that a difference holds for these teachers.
Ours: the test. With the teachers in the order of their own held-out loss, d_k = loss of the best
    teacher's student - loss of teacher k's, paired by training seed. A capacity gap is seen if d_k
    is above 0 for a weaker teacher k at 5 %, Holm over all k. The best teacher was chosen by its
    own loss, so that no choice by the students biases the test. And the optimum: the geometric mean
    over training seeds of the size of the teacher whose student is best with that seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.against import Difference, curve_of_means, differences_from, listed
from kdbench.analyses.core.teachers import (
    StudentStart,
    pure_distillation,
    several_teachers,
    start_keys,
)
from kdbench.config import Names
from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean, mean_over_seeds
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    Quantity,
    columns_of,
)

if TYPE_CHECKING:
    from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
    from kdbench.analyses.core.filled import FilledRows

_ALONE = "without a teacher"
_LOSS, _SCORE, _KL, _SHARED = "lm_loss", "AVG", "fkl@ref", "acceptance@student"
_LEAST_TEACHERS = 3


@dataclass(frozen=True)
class Taught:
    """A teacher and its students.

    Attributes:
        teacher: Name of the teacher.
        parameters: Number of its parameters.
        quality: Its own held-out loss, nats per token.
        score: Its own ROUGE-L, points.
        losses: Held-out loss of its students by training seed.
        scores: Their ROUGE-L.
        kl: Their KL to this teacher on the references.
        accepted: Acceptance rate of their own text by this teacher.
    """

    teacher: str
    parameters: int
    quality: float
    score: float
    losses: Mapping[int, float]
    scores: Mapping[int, float]
    kl: Mapping[int, float]
    accepted: Mapping[int, float]


@analyses.register("capacity_gap")
class CapacityGap(Analysis, group="Capacity gap"):
    """Students of teachers of several sizes, and whether the best teacher's student is the best.

    On the toy world, `world=` also gets teachers of four sizes. With models of your own, name the
    teachers with `teachers=` and the student with `student=`.
    """

    title: ClassVar[str] = "Capacity gap"
    question: ClassVar[str] = "Does a better teacher make a better student of a fixed size?"
    paper: ClassVar[str] = (
        "Mirzadeh et al. 2020, arXiv 1902.03393; Cho and Hariharan 2019, arXiv 1910.01348; "
        "Zhang et al. 2025, arXiv 2311.07052"
    )
    basis: ClassVar[str] = "abstracts"
    needs_teacher: ClassVar[bool] = False
    world_kind: ClassVar[str] = "toy-sizes"

    teachers: Names = Field(
        (), description="Teachers' checkpoints, three or more, for models of one's own"
    )
    method: str = Field("kd", description="Method of kdbench train with which students learn")
    start: StudentStart | None = Field(
        None,
        description="Whether students start from random weights, another draw per training seed, "
        "or from the student's checkpoint (default: random on the toy world)",
    )

    def run(self, bench: "AnalysisBench") -> Conclusion:
        """Fill a table for each teacher, so that fidelity is to the teacher that taught."""
        world = bench.world
        teachers = several_teachers(world, self.teachers, _LEAST_TEACHERS)
        found, alone = [], None
        for number, (name, checkpoint) in enumerate(teachers.items()):
            table = self._table(world, name, checkpoint, with_alone=number == 0)
            filled = bench.fill(table, name)
            found.append(taught(name, filled))
            alone = alone or filled
        assert alone is not None  # noqa: S101 - there are three or more teachers
        return self._concluded(found, alone.values(_ALONE, _LOSS), alone.values(_ALONE, _SCORE))

    def _table(
        self, world: "AnalysisWorld", name: str, checkpoint: str, with_alone: bool
    ) -> dict[str, Any]:
        """The students of one teacher, and those without a teacher in one of the tables."""
        rows = [{"label": name, "train": pure_distillation(self.method)}]
        if with_alone:
            rows.append({"label": _ALONE, "train": {"method": "sft"}})
        return {
            "teacher": {"label": f"teacher {name}", "checkpoint": checkpoint},
            "rows": rows,
            "train": {**start_keys(self.start, world), "steps": 120, "log_every": 30},
            "evaluate": {
                "metrics": ["rougeL", _LOSS, _KL, _SHARED],
                "limit": 50,
                "seeds": [10],
                "max_new_tokens": 64,
            },
        }

    def _concluded(
        self, found: Sequence[Taught], alone: Mapping[int, float], alone_scores: Mapping[int, float]
    ) -> Conclusion:
        by_size = sorted(found, key=lambda teacher: (teacher.parameters, teacher.quality))
        return self.conclude(
            *sentences(by_size, alone),
            tables=(_table_of(by_size, alone, alone_scores),),
            panels=_panels(by_size, alone),
            notes=(
                "Brackets hold 95 % intervals over training seeds, of the students alone: each "
                "teacher was trained once. Differences are paired by training seed; p is that of "
                "a t test, with Holm's correction over the teachers.",
            ),
        )


def taught(name: str, filled: "FilledRows") -> Taught:
    """What a teacher's table shows.

    Raises:
        InputError: A run lacks a measure, or the teacher's size is unknown.
    """
    teacher = f"teacher {name}"
    run = next(row.run for row in filled.rows if row.label == teacher)
    if run.parameters is None:
        raise InputError(f"{run.folder}: the number of the teacher's parameters is unknown")
    return Taught(
        name,
        run.parameters,
        filled.value(teacher, _LOSS),
        filled.value(teacher, _SCORE),
        filled.values(name, _LOSS),
        filled.values(name, _SCORE),
        filled.values(name, _KL),
        filled.values(name, _SHARED),
    )


def differences(found: Sequence[Taught]) -> dict[str, Difference]:
    """Loss of each weaker teacher's student minus that of the best teacher's, by teacher."""
    best = best_of(found)
    others = {teacher.teacher: teacher.losses for teacher in found if teacher is not best}
    return differences_from(best.losses, others)


def best_of(found: Sequence[Taught]) -> Taught:
    """The teacher with the lowest held-out loss of its own; of equal ones the smaller."""
    return min(found, key=lambda teacher: (teacher.quality, teacher.parameters))


def optimum(found: Sequence[Taught]) -> SeedMean:
    """The log of the size of the teacher whose student is best, over training seeds."""
    seeds = set.intersection(*(set(teacher.losses) for teacher in found))
    chosen = {seed: min(found, key=lambda teacher: teacher.losses[seed]) for seed in seeds}
    return mean_over_seeds({seed: log(chosen[seed].parameters) for seed in seeds})


def sentences(found: Sequence[Taught], alone: Mapping[int, float]) -> tuple[str, ...]:
    """What the students of several teachers show.

    Args:
        found: The teachers with their students.
        alone: Held-out loss of the student without a teacher by training seed.
    """
    best, against = best_of(found), differences(found)
    who = f"{best.teacher}, the best teacher by its own held-out loss ({best.quality:.3f} nats)"
    if any(difference.p is None for difference in against.values()):
        return (f"One training seed cannot tell students apart; {who}, is one of {len(found)}.",)
    ahead = {name: found for name, found in against.items() if found.direction < 0}
    level = [name for name, found in against.items() if found.direction == 0]
    if ahead:
        name = min(ahead, key=lambda name: ahead[name].found.value)
        first = (
            f"A capacity gap is seen: the student of {name} ends {ahead[name].text(3)} nats below "
            f"that of {who}."
        )
    elif level:
        first = (
            f"No capacity gap is seen: no weaker teacher's student is better than that of {who}; "
            f"{_students_of(level)} not told from it."
        )
    else:
        first = f"No capacity gap is seen: the student of {who}, is the best of all."
    return first, _optimum_sentence(found), _alone_sentence(best, alone)


def _students_of(teachers: Sequence[str]) -> str:
    if len(teachers) == 1:
        return f"the student of {teachers[0]} is"
    return f"the students of {listed(teachers)} are"


def _optimum_sentence(found: Sequence[Taught]) -> str:
    size = optimum(found)
    ends = (
        ""
        if size.low is None or size.high is None
        else (f" [{_count(exp(size.low))}, {_count(exp(size.high))}]")
    )
    return (
        f"The teacher with the best student has {_count(exp(size.value))}{ends} parameters, the "
        f"geometric mean over {len(size.seeds)} training seeds of sizes from "
        f"{_count(found[0].parameters)} to {_count(found[-1].parameters)}."
    )


def _alone_sentence(best: Taught, alone: Mapping[int, float]) -> str:
    difference = differences_from(alone, {"best": best.losses})["best"]
    words = {1: "above", -1: "below"}
    if not difference.direction:
        return f"The student of {best.teacher} is not told from the one without a teacher."
    where = words[difference.direction]
    return (
        f"The student of {best.teacher} ends {difference.text(3)} nats {where} the one without a "
        "teacher."
    )


def _count(number: float) -> str:
    """A number of parameters with three digits: 115 k, 1.85 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _table_of(
    found: Sequence[Taught], alone: Mapping[int, float], alone_scores: Mapping[int, float]
) -> ConclusionTable:
    columns = columns_of(
        "teacher",
        "parameters",
        ConclusionColumn(title="teacher's loss", unit="nats"),
        ConclusionColumn(title="teacher's ROUGE-L", decimals=1),
        ConclusionColumn(title="student's loss", unit="nats"),
        ConclusionColumn(title="minus the best teacher's", unit="nats", signed=True),
        ConclusionColumn(title="student's ROUGE-L", decimals=1),
        ConclusionColumn(title="KL to its teacher", unit="nats"),
        ConclusionColumn(title="acceptance"),
    )
    against = differences(found)
    rows = [
        (
            teacher.teacher,
            _count(teacher.parameters),
            Quantity(value=teacher.quality),
            Quantity(value=teacher.score),
            _mean(teacher.losses),
            against[teacher.teacher].quantity() if teacher.teacher in against else None,
            _mean(teacher.scores),
            _mean(teacher.kl),
            _mean(teacher.accepted),
        )
        for teacher in found
    ]
    without = (None, None, None, _mean(alone), None, _mean(alone_scores), None, None)
    return ConclusionTable(
        title="Students of teachers of several sizes",
        columns=columns,
        rows=(*rows, ("none", *without)),
    )


def _mean(by_seed: Mapping[int, float]) -> Quantity:
    return Quantity.of(mean_over_seeds(by_seed))


def _panels(found: Sequence[Taught], alone: Mapping[int, float]) -> tuple[Panel, ...]:
    sizes = [float(teacher.parameters) for teacher in found]
    teachers = curve_of_means("teacher", sizes, [{0: teacher.quality} for teacher in found])
    students = curve_of_means("student", sizes, [teacher.losses for teacher in found])
    flat = curve_of_means(_ALONE, [sizes[0], sizes[-1]], [alone, alone])
    kl = curve_of_means("student", sizes, [teacher.kl for teacher in found])
    x = "parameters of the teacher"
    y = "held-out loss (nats per token)"
    quality = (teachers, students, flat)
    best = best_of(found).losses
    apart = [{seed: of.losses[seed] - best[seed] for seed in best} for of in found]
    difference = (curve_of_means("student", sizes, apart),)
    less = "loss minus the best teacher's"
    return (
        Panel(title="Quality", x_label=x, y_label=y, curves=quality, log_x=True),
        Panel(title="Paired by seed", x_label=x, y_label=less, curves=difference, log_x=True),
        Panel(title="Fidelity", x_label=x, y_label="KL to it (nats)", curves=(kl,), log_x=True),
    )

"""Whether students that gain more are nearer to their teacher: generalisation against fidelity.

Question: Stanton et al. 2021, "Does knowledge distillation really work?" (arXiv 2106.05945): closer
    students do not always generalise better. Ramesh et al. 2025, "On the generalization vs fidelity
    paradox" (arXiv 2505.15442): students of language models gain in accuracy without the teacher's
    reasoning; noise on the teacher's logits and their temperature are its ablations. Abstracts, the
    second one's repository and notes of others were read.
Design: for each size of the student, KD at several training temperatures and with noise of several
    sizes on the teacher's logits, and the same student without a teacher (SFT). Each is measured on
    all tasks at several sampling temperatures. Gain is score minus the score of SFT with the same
    training seed; change is the same of fidelity. Fidelity is acceptance and top-1 agreement on the
    student's own text, and ROUGE-L between the texts of student and teacher, which stands for the
    similarity of rationales where responses have none.
Published form: gain against the level of fidelity. A level is bounded by how good the student is,
    so that the two can oppose each other by construction; so gain against change is what counts
    here, and the others are shown with it.
Ours: the rank correlation over conditions within tasks (each task's mean taken off), and its
    interval by a bootstrap over conditions and training seeds. And the four cells, by the signs of
    gain and change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.against import Difference, differences_from
from kdbench.analyses.core.teachers import start_keys
from kdbench.config import FIVE, Names
from kdbench.config.kinds import Amounts
from kdbench.errors import InputError
from kdbench.stats.over_seeds import mean_over_seeds
from kdbench.stats.rank_correlation import RankCorrelation, rank_correlation
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionCell,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
    columns_of,
)

if TYPE_CHECKING:
    from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
    from kdbench.analyses.core.filled import FilledRows

UNDISTILLED = "SFT"
SCORE = "rougeL"
FIDELITY = {
    "acceptance@student": "acceptance",
    "top1@student": "top-1 agreement",
    "rougeL_teacher": "similarity of texts",
}
"""Measures of fidelity, and what they are called; the first decides the sentence."""


@dataclass(frozen=True)
class DistillationCondition:
    """A way of distilling a student.

    Attributes:
        size: Which student.
        kind: What is special about its distillation: `KD`, `KD T 4`, `KD noise 2`.
        has_noise: Whether the teacher's logits had noise.
    """

    size: str
    kind: str
    has_noise: bool

    @property
    def label(self) -> str:
        """Label of its row."""
        return f"{self.kind} {self.size}"


@dataclass(frozen=True)
class Measured:
    """Measures of all conditions, (conditions, training seeds, tasks × sampling temperatures).

    Attributes:
        conditions: The conditions.
        seeds: The training seeds.
        score: The score.
        gain: The score minus that of the undistilled student of the same seed.
        level: Fidelity by measure.
        change: Fidelity minus that of the undistilled student of the same seed, by measure.
    """

    conditions: tuple[DistillationCondition, ...]
    seeds: tuple[int, ...]
    score: np.ndarray
    gain: np.ndarray
    level: Mapping[str, np.ndarray]
    change: Mapping[str, np.ndarray]

    def by_seed(self, values: np.ndarray, place: int) -> dict[int, float]:
        """A condition's mean over tasks and sampling temperatures, by training seed."""
        return dict(zip(self.seeds, map(float, values[place].mean(-1)), strict=True))


@analyses.register("paradox")
class Paradox(Analysis, group="Paradox"):
    """Gain over the undistilled student against fidelity, over many ways of distilling it.

    On the toy world, students have several sizes. With models of your own, `student=` is the only
    one.
    """

    title: ClassVar[str] = "Generalisation against fidelity"
    question: ClassVar[str] = "Are students that gain more also nearer to their teacher?"
    paper: ClassVar[str] = (
        "Stanton et al. 2021, arXiv 2106.05945; Ramesh et al. 2025, arXiv 2505.15442"
    )
    basis: ClassVar[str] = "abstracts, authors' code, third-party notes"
    world_kind: ClassVar[str] = "toy-sizes"

    sizes: Names = Field(("2x64",), description="Sizes of the toy world's students")
    temperatures: Amounts = Field(
        (4.0,), description="Training temperatures of KD, in addition to 1"
    )
    noises: Amounts = Field(
        (2.0, 5.0), description="Standard deviations of the noise on the teacher's logits"
    )
    sampling_temperatures: Amounts = Field(
        (1.0, 0.0), description="Sampling temperatures of the evaluation; 0 is greedy"
    )
    tasks: Names = Field(FIVE, description="Tasks of the evaluation")

    def run(self, bench: "AnalysisBench") -> Conclusion:
        """Train once, and fill a table for each sampling temperature."""
        conditions = self.conditions(bench.world)
        temperatures = list(dict.fromkeys(self.sampling_temperatures))
        if not temperatures:
            raise InputError("sampling_temperatures=: give one or more numbers")
        tables = [
            bench.fill(self._table(bench.world, conditions, temperature), f"{temperature:g}")
            for temperature in temperatures
        ]
        return self._concluded(measured(conditions, tables, self.tasks))

    def conditions(self, world: "AnalysisWorld") -> tuple[DistillationCondition, ...]:
        """All conditions, those of one size together.

        Raises:
            InputError: There are fewer than three, of which no correlation is worth its name.
        """
        kinds = [("KD", False), *((f"KD T {value:g}", False) for value in self.temperatures)]
        kinds += [(f"KD noise {value:g}", True) for value in self.noises]
        sizes = self._starts(world)
        found = tuple(
            DistillationCondition(size, *kind)
            for size, kind in product(sizes, dict.fromkeys(kinds))
        )
        if len(found) < 3:
            raise InputError("temperatures=, noises=: give more values; three conditions are few")
        return found

    def _starts(self, world: "AnalysisWorld") -> dict[str, dict[str, Any]]:
        """Keys that say where the student of each size starts."""
        if world.folder is None:
            return {"student": start_keys(None, world)}
        known = sorted(path.name for path in world.folder.glob("teacher-*"))
        starts = {}
        for size in self.sizes:
            if f"teacher-{size}" not in known:
                have = ", ".join(name.removeprefix("teacher-") for name in known)
                raise InputError(f"sizes={size}: no such size; the world has {have}")
            config = world.folder / f"teacher-{size}"
            starts[size] = {**start_keys("random", world), "student": f"random:{config}"}
        return starts

    def _table(
        self,
        world: "AnalysisWorld",
        conditions: Sequence[DistillationCondition],
        temperature: float,
    ) -> dict[str, Any]:
        own = {
            "KD": {},
            **{f"KD T {value:g}": {"temperature": value} for value in self.temperatures},
        }
        own |= {f"KD noise {value:g}": {"teacher_noise": value} for value in self.noises}
        rows: list[dict[str, Any]] = []
        for size, keys in self._starts(world).items():
            rows.append({"label": f"{UNDISTILLED} {size}", "train": {"method": "sft", **keys}})
            rows += [
                {
                    "label": condition.label,
                    "train": {"method": "kd", "kd_ratio": 1, **own[condition.kind], **keys},
                }
                for condition in conditions
                if condition.size == size
            ]
        greedy = {"no_repeat_ngram_size": 0} if temperature == 0 else {}
        return {
            "rows": rows,
            "train": {"steps": 80, "log_every": 20, "validation_samples": 1},
            "evaluate": {
                "metrics": [SCORE, *FIDELITY],
                "limit": 30,
                "seeds": [10],
                "temperature": temperature,
                "max_new_tokens": 64,
                **greedy,
            },
            "tasks": list(self.tasks),
        }

    def _concluded(self, found: Measured) -> Conclusion:
        return self.conclude(
            *sentences(found),
            tables=(_condition_table(found), _correlation_table(found), _cell_table(found)),
            panels=_panels(found),
            notes=(
                "Brackets of conditions hold 95 % intervals over training seeds, p with Holm's "
                "correction over conditions; those of correlations come from a bootstrap over "
                "conditions and training seeds. Numbers of conditions are means over tasks and "
                "sampling temperatures.",
            ),
        )


def measured(
    conditions: Sequence[DistillationCondition],
    tables: "Sequence[FilledRows]",
    tasks: Sequence[str],
) -> Measured:
    """Read the tables, one for each sampling temperature."""
    seeds = tuple(sorted(tables[0].of(conditions[0].label)))

    def values(label: str, metric: str) -> np.ndarray:
        columns = [
            table.values(label, f"{task}:{metric}") for table, task in product(tables, tasks)
        ]
        return np.array([[column[seed] for column in columns] for seed in seeds])

    def both(metric: str) -> tuple[np.ndarray, np.ndarray]:
        without = {c.size: values(f"{UNDISTILLED} {c.size}", metric) for c in conditions}
        level = np.stack([values(condition.label, metric) for condition in conditions])
        return level, level - np.stack([without[condition.size] for condition in conditions])

    score, gain = both(SCORE)
    fidelity = {metric: both(metric) for metric in FIDELITY}
    level = {metric: of[0] for metric, of in fidelity.items()}
    change = {metric: of[1] for metric, of in fidelity.items()}
    return Measured(tuple(conditions), seeds, score, gain, level, change)


def cells(gain: np.ndarray, change: np.ndarray) -> tuple[int, int, int, int]:
    """How many points lie in each quadrant, by their means over training seeds.

    Args:
        gain: Gain, (conditions, training seeds, points).
        change: Change of fidelity, of the same shape.

    Returns:
        Points that gain and come nearer, that gain and do not, that come nearer and do not gain,
        and that do neither.
    """
    up, nearer = gain.mean(1) > 0, change.mean(1) > 0
    both = (up & nearer, up & ~nearer, ~up & nearer, ~up & ~nearer)
    gains_near, gains_far, near, neither = (int(of.sum()) for of in both)
    return gains_near, gains_far, near, neither


def sentences(found: Measured) -> tuple[str, ...]:
    """Whether the published claim is seen, and in how many cells."""
    main, *others = FIDELITY
    related = {name: rank_correlation(found.gain, found.change[name], True) for name in FIDELITY}
    kinds = {
        1: "go together: the published misalignment is not seen",
        0: "are not told to go together",
        -1: "oppose each other",
    }
    first = related[main]
    words = kinds[first.direction if first is not None else 0]
    rest = ", ".join(f"{FIDELITY[name]} {_text(related[name])}" for name in others)
    told = _differences(found, found.gain)
    ups = sum(difference.direction > 0 for difference in told)
    downs = sum(difference.direction < 0 for difference in told)
    nearer = [difference.direction > 0 for difference in _differences(found, found.change[main])]
    far_gains = sum(d.direction > 0 and not near for d, near in zip(told, nearer, strict=True))
    near, far, lost, neither = cells(found.gain, found.change[main])
    return (
        f"Over {len(found.conditions)} conditions, gain in ROUGE-L and change of acceptance within "
        f"tasks {words} (rank correlation {_text(first)}; {rest}).",
        f"Of {near + far + lost + neither} points, {near} gain and come nearer to the teacher in "
        f"acceptance, {far} gain without, {lost} come nearer without a gain, and {neither} do "
        f"neither.",
        f"{ups} of {len(told)} conditions gain over {UNDISTILLED} and {downs} lose, at 5 % with "
        f"Holm's correction; of those that gain, {far_gains} are not seen to near the teacher, as "
        f"the published claim has it.",
    )


def _differences(found: Measured, values: np.ndarray) -> list[Difference]:
    """The mean of each condition over tasks, as a difference from 0, Holm over conditions."""
    zeros = dict.fromkeys(found.seeds, 0.0)
    by_label = {
        condition.label: found.by_seed(values, place)
        for place, condition in enumerate(found.conditions)
    }
    return list(differences_from(zeros, by_label).values())


def _condition_table(found: Measured) -> ConclusionTable:
    gains = _differences(found, found.gain)
    changes = {metric: _differences(found, found.change[metric]) for metric in FIDELITY}
    rows: list[tuple[ConclusionCell, ...]] = [
        (
            condition.size,
            condition.kind,
            Quantity.of(mean_over_seeds(found.by_seed(found.score, place))),
            gains[place].quantity(),
            *(changes[metric][place].quantity() for metric in FIDELITY),
        )
        for place, condition in enumerate(found.conditions)
    ]
    columns = columns_of(
        "student",
        "distillation",
        ConclusionColumn(title="ROUGE-L", decimals=1),
        ConclusionColumn(title="gain", unit="points", decimals=1, signed=True),
        ConclusionColumn(title="acceptance", signed=True),
        ConclusionColumn(title="top-1", signed=True),
        ConclusionColumn(title="similarity", unit="points", decimals=1, signed=True),
    )
    title = "Gain and change of fidelity over the undistilled student"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _correlation_table(found: Measured) -> ConclusionTable:
    clean = [place for place, condition in enumerate(found.conditions) if not condition.has_noise]
    rows: list[tuple[ConclusionCell, ...]] = []
    for metric, name in FIDELITY.items():
        level, change = found.level[metric], found.change[metric]
        rows.append(
            (
                name,
                _quantity(rank_correlation(found.gain, change, True), found),
                _quantity(rank_correlation(found.gain[clean], change[clean], True), found),
                _quantity(rank_correlation(found.gain, change), found),
                _quantity(rank_correlation(found.gain, level), found),
                _quantity(rank_correlation(found.score, level), found),
            )
        )
    titles = (
        "gain, change, within tasks",
        "the same without noise",
        "gain, change",
        "gain, level (published)",
        "score, level",
    )
    numbers = [ConclusionColumn(title=title, decimals=2, signed=True) for title in titles]
    columns = columns_of("fidelity", *numbers)
    return ConclusionTable(title="Rank correlations", columns=columns, rows=tuple(rows))


def _cell_table(found: Measured) -> ConclusionTable:
    titles = ("gain and nearer", "gain, not nearer", "nearer, no gain", "neither")
    numbers = [ConclusionColumn(title=title, decimals=0) for title in titles]
    rows = [
        (name, *(Quantity(value=n) for n in cells(found.gain, found.change[metric])))
        for metric, name in FIDELITY.items()
    ]
    title = "Points in each cell, by condition, task and sampling temperature"
    return ConclusionTable(title=title, columns=columns_of("fidelity", *numbers), rows=tuple(rows))


def _panels(found: Measured) -> tuple[Panel, ...]:
    gains = _differences(found, found.gain)
    kinds = list(dict.fromkeys(condition.kind for condition in found.conditions))
    panels = []
    for metric, name in FIDELITY.items():
        changes = _differences(found, found.change[metric])
        curves = []
        for kind in kinds:
            of = [n for n, condition in enumerate(found.conditions) if condition.kind == kind]
            known = all(gains[n].found.low is not None for n in of)
            curves.append(
                PanelCurve(
                    label=kind,
                    x=tuple(changes[n].found.value for n in of),
                    y=tuple(gains[n].found.value for n in of),
                    low=tuple(gains[n].found.low or 0.0 for n in of) if known else (),
                    high=tuple(gains[n].found.high or 0.0 for n in of) if known else (),
                    joined=False,
                )
            )
        panels.append(
            Panel(
                title=name.capitalize(),
                x_label=f"change of {name}",
                y_label="gain in ROUGE-L (points)",
                curves=tuple(curves),
            )
        )
    return tuple(panels)


def _quantity(correlation: RankCorrelation | None, found: Measured) -> ConclusionCell:
    if correlation is None:
        return None
    ends = correlation.low, correlation.high
    return Quantity(value=correlation.value, low=ends[0], high=ends[1], n=len(found.seeds))


def _text(correlation: RankCorrelation | None) -> str:
    if correlation is None:
        return "unknown, as one of them does not vary"
    value = f"{correlation.value:+.2f}"
    if correlation.low is None or correlation.high is None:
        return value
    return f"{value} [{correlation.low:+.2f}, {correlation.high:+.2f}]"

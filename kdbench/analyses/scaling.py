"""How the student's held-out loss falls with the tokens that it learned from, by teacher.

Question: Busbridge et al. 2025, "Distillation scaling laws" (arXiv 2502.08606). Their law is
    L_S = L_T + L_T^-c0 (1 + (L_T / (L̃_S d1))^(1/f1))^(-c1 f1) (A/N_S^α + B/D_S^β)^γ,
    with L_T the teacher's loss and L̃_S what the student reaches by cross-entropy alone; read in two
    notes of others that agree, not in the paper, of which the abstract was read.
Fitted here: for each teacher alone, L(D) = E + B D^-β by least squares, E and B of 0 or more, D in
    response tokens. The whole law has nine numbers and needs students of many sizes; it is not
    fitted. What it says of a teacher is seen in how the last loss and E change with the teacher's.
Ours: the losses of one training at a constant learning rate are the points of a curve, so that no
    budget sees a lower rate than another; a schedule that ends at each budget would give lower
    losses. Each training seed is fitted alone, and intervals are over these fits. Out of sample,
    the law is fitted without the largest budget and predicts it; the control predicts no change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.against import curve_of_means, differences_from, listed
from kdbench.analyses.core.teachers import (
    StudentStart,
    pure_distillation,
    several_teachers,
    start_keys,
)
from kdbench.config import Names
from kdbench.config.kinds import Counts
from kdbench.distillation.card import CARD
from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean, mean_over_seeds
from kdbench.stats.power_law import PowerLaw, fit_power_law
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    Quantity,
    columns_of,
)
from kdbench.system.files import read_json

if TYPE_CHECKING:
    from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
    from kdbench.analyses.core.filled import FilledRows

ALONE = "no teacher"
_LEAST_BUDGETS = 4  # three for the law, one to predict
_OF_CURVE = 12  # points of a drawn law

Losses = Mapping[int, Mapping[float, float]]
"""Held-out loss by tokens, by training seed."""


@dataclass(frozen=True)
class Learnt:
    """The students of one teacher, or of none.

    Attributes:
        teacher: Its name, or `ALONE`.
        quality: The teacher's own held-out loss, nats per token; None without a teacher.
        losses: Held-out loss of the students by tokens, by training seed.
    """

    teacher: str
    quality: float | None
    losses: Losses

    @cached_property
    def laws(self) -> dict[int, PowerLaw]:
        """The law of each training seed, from all budgets."""
        return {seed: _law(of) for seed, of in self.losses.items()}

    @property
    def exponents(self) -> SeedMean:
        """The mean of β over training seeds."""
        return mean_over_seeds({seed: law.exponent for seed, law in self.laws.items()})

    @property
    def budgets(self) -> list[float]:
        """Tokens at which losses are known, of the first training seed."""
        return sorted(next(iter(self.losses.values())))

    def at_budget(self, place: int) -> dict[int, float]:
        """The loss at one of the budgets by training seed; -1 is the largest."""
        return {seed: of[sorted(of)[place]] for seed, of in self.losses.items()}

    def prediction_errors(self) -> dict[int, float]:
        """The law's loss at the largest budget, from the others, minus the measured one."""
        laws = {seed: _law(of, without_last=True) for seed, of in self.losses.items()}
        return {seed: laws[seed].at(max(of)) - of[max(of)] for seed, of in self.losses.items()}

    def control_errors(self) -> dict[int, float]:
        """The loss at the last budget but one minus that at the largest."""
        last, before = self.at_budget(-1), self.at_budget(-2)
        return {seed: before[seed] - last[seed] for seed in last}


@analyses.register("scaling")
class Scaling(Analysis, group="Scaling"):
    """The student's held-out loss against tokens, for several teachers, and the law that fits it.

    On the toy world, `world=` also gets teachers of four sizes, of which `sizes=` are used. With
    models of your own, name the teachers with `teachers=` and the student with `student=`.
    """

    title: ClassVar[str] = "Scaling"
    question: ClassVar[str] = (
        "How does a student's loss fall with tokens, and what does the teacher's size change?"
    )
    paper: ClassVar[str] = "Busbridge et al. 2025, arXiv 2502.08606"
    basis: ClassVar[str] = "abstract, third-party notes"
    needs_teacher: ClassVar[bool] = False
    world_kind: ClassVar[str] = "toy-sizes"

    teachers: Names = Field(
        (), description="Teachers' checkpoints, one or more, for models of one's own"
    )
    sizes: Names = Field(
        ("1x32", "4x128"), description="Which teachers of the toy world, LAYERSxWIDTH"
    )
    budgets: Counts = Field(
        (20, 40, 60, 80, 100, 140),
        description="Optimiser steps after which the loss is measured, four or more",
    )
    method: str = Field("kd", description="Method of kdbench train with which students learn")
    start: StudentStart | None = Field(
        None,
        description="Whether students start from random weights, another draw per training seed, "
        "or from the student's checkpoint (default: random on the toy world)",
    )

    def run(self, bench: "AnalysisBench") -> Conclusion:
        """Train with each teacher and without one, and measure at each budget."""
        budgets = self._budgets()
        teachers = self._teachers(bench.world)
        filled = bench.fill(self._table(bench.world, teachers, budgets))
        alone, taught = Learnt(ALONE, None, losses_of(filled, ALONE, budgets)), []
        for name in teachers:
            quality = filled.value(f"teacher {name}", "lm_loss")
            taught.append(Learnt(name, quality, losses_of(filled, name, budgets)))
        taught.sort(key=lambda learnt: -(learnt.quality or 0.0))
        return self._concluded([*taught, alone])

    def _budgets(self) -> tuple[int, ...]:
        budgets = tuple(sorted(set(self.budgets)))
        if len(budgets) < _LEAST_BUDGETS:
            raise InputError(
                f"budgets={','.join(map(str, self.budgets))}: give {_LEAST_BUDGETS} or more "
                "numbers of steps: three for the law, one to predict"
            )
        if self.steps is not None:
            raise InputError(f"steps={self.steps}: give budgets=, of which the largest counts")
        return budgets

    def _teachers(self, world: "AnalysisWorld") -> dict[str, str]:
        known = several_teachers(world, self.teachers, 1)
        if world.folder is None:
            return known
        for name in self.sizes:
            if name not in known:
                raise InputError(f"sizes={name}: no such size; the world has {', '.join(known)}")
        return {name: known[name] for name in dict.fromkeys(self.sizes)}

    def _table(
        self, world: "AnalysisWorld", teachers: Mapping[str, str], budgets: Sequence[int]
    ) -> dict[str, Any]:
        taught = [
            {"label": name, "train": {**pure_distillation(self.method), "teacher": path}}
            for name, path in teachers.items()
        ]
        own = [{"label": f"teacher {name}", "checkpoint": path} for name, path in teachers.items()]
        first = next(iter(teachers.values()))
        return {
            "teacher": {"label": "Teacher", "checkpoint": first},
            "rows": [*own, *taught, {"label": ALONE, "train": {"method": "sft"}}],
            "train": {
                **start_keys(self.start, world),
                "lr_schedule": "constant",
                "steps": budgets[-1],
                "validate_every": gcd(*budgets),
                "validation_samples": 1,
                "log_every": gcd(*budgets),
            },
            "evaluate": {"metrics": ["lm_loss"], "max_new_tokens": 1, "seeds": [10]},
            "tasks": ["dolly"],
        }

    def _concluded(self, found: Sequence[Learnt]) -> Conclusion:
        return self.conclude(
            *sentences(found),
            tables=(_table_of(found),),
            panels=_panels(found),
            notes=(
                "Brackets hold 95 % intervals over training seeds; each teacher was trained once. "
                "Losses of one training are its points at several budgets, at a constant learning "
                "rate. A law is undetermined if its exponent ends at a bound or its floor at 0.",
            ),
        )


def losses_of(filled: "FilledRows", label: str, budgets: Sequence[int]) -> Losses:
    """Held-out loss by response tokens, by training seed.

    Raises:
        InputError: A log lacks a budget, or a card its tokens.
    """
    found: dict[int, dict[float, float]] = {}
    curves = filled.curves(label, "eval_loss")
    for seed, row in filled.of(label).items():
        card = row.checkpoint / CARD
        phases, steps = read_json(card).get("phases", {}), read_json(card).get("steps")
        tokens = phases.get("train", {}).get("tokens")
        if not tokens or not steps:
            raise InputError(f"{card}: has no tokens of the training, which the analysis reads")
        missing = [step for step in budgets if step not in curves[seed]]
        if missing:
            raise InputError(f"{row.checkpoint}: its log has no eval_loss at step {missing[0]}")
        found[seed] = {step * tokens / steps: curves[seed][step] for step in budgets}
    return found


def sentences(found: Sequence[Learnt]) -> tuple[str, ...]:
    """What the students show: the law, the teachers, and the prediction."""
    return (_law_sentence(found), *_teacher_sentence(found), _prediction_sentence(found))


def _law_sentence(found: Sequence[Learnt]) -> str:
    laws = [law for learnt in found for law in learnt.laws.values()]
    determined = sum(law.is_determined for law in laws)
    exponents = [f"{learnt.teacher} {_text(learnt.exponents, 2)}" for learnt in found]
    return (
        f"The law E + B D^-β is determined in {determined} of {len(laws)} trainings; β is "
        f"{', '.join(exponents)}."
    )


def _teacher_sentence(found: Sequence[Learnt]) -> tuple[str, ...]:
    """Whether the students of the best teacher end lower than the others', Holm over them."""
    taught = [learnt for learnt in found if learnt.quality is not None]
    best = min(taught, key=lambda learnt: learnt.quality or 0.0)
    others = {learnt.teacher: learnt.at_budget(-1) for learnt in found if learnt is not best}
    against = differences_from(best.at_budget(-1), others)
    told = [
        f"{name} by {difference.text(3)}"
        for name, difference in against.items()
        if difference.direction > 0
    ]
    lower = [
        f"{name} by {difference.text(3)}"
        for name, difference in against.items()
        if difference.direction < 0
    ]
    who = f"At the largest budget, the student of {best.teacher}, the best teacher,"
    parts = [f"ends below that of {listed(told)} nats"] if told else []
    parts += [f"ends above that of {listed(lower)} nats"] if lower else []
    if not parts:
        return (f"{who} is not told from any other.",)
    return (f"{who} {', and '.join(parts)}.",)


def _prediction_sentence(found: Sequence[Learnt]) -> str:
    law, control = _absolute(found, "prediction_errors"), _absolute(found, "control_errors")
    difference = differences_from(control, {"law": law})["law"]
    words = {-1: "less than", 0: "which is not told from", 1: "more than"}[difference.direction]
    missed, by_control = (_text(mean_over_seeds(of), 3) for of in (law, control))
    return (
        f"Fitted without the largest budget, the law misses its loss by {missed} nats on average, "
        f"{words} the {by_control} of predicting no change."
    )


def _absolute(found: Sequence[Learnt], which: str) -> dict[int, float]:
    """The mean absolute error over teachers by training seed."""
    errors = [getattr(learnt, which)() for learnt in found]
    return {seed: float(np.mean([abs(of[seed]) for of in errors])) for seed in errors[0]}


def _law(losses: Mapping[float, float], without_last: bool = False) -> PowerLaw:
    amounts = sorted(losses)
    kept = amounts[:-1] if without_last else amounts
    return fit_power_law(kept, [losses[amount] for amount in kept])


def _table_of(found: Sequence[Learnt]) -> ConclusionTable:
    columns = columns_of(
        "teacher",
        ConclusionColumn(title="teacher's loss", unit="nats"),
        ConclusionColumn(title="first loss", unit="nats"),
        ConclusionColumn(title="last loss", unit="nats"),
        ConclusionColumn(title="floor E", unit="nats"),
        ConclusionColumn(title="exponent β", decimals=2),
        ConclusionColumn(title="predicted minus last", unit="nats", signed=True),
        ConclusionColumn(title="no change minus last", unit="nats", signed=True),
    )
    rows = [
        (
            learnt.teacher,
            None if learnt.quality is None else Quantity(value=learnt.quality),
            _mean(learnt.at_budget(0)),
            _mean(learnt.at_budget(-1)),
            _mean({seed: law.floor for seed, law in learnt.laws.items()}),
            Quantity.of(learnt.exponents),
            _mean(learnt.prediction_errors()),
            _mean(learnt.control_errors()),
        )
        for learnt in found
    ]
    return ConclusionTable(title="Laws of each teacher", columns=columns, rows=tuple(rows))


def _panels(found: Sequence[Learnt]) -> tuple[Panel, ...]:
    measured, predicted = [], []
    for learnt in found:
        by_budget = [learnt.at_budget(place) for place in range(len(learnt.budgets))]
        measured.append(curve_of_means(learnt.teacher, learnt.budgets, by_budget, joined=False))
        grid = np.geomspace(learnt.budgets[0], learnt.budgets[-1], _OF_CURVE)
        laws = {seed: _law(of, without_last=True) for seed, of in learnt.losses.items()}
        drawn = [{seed: law.at(amount) for seed, law in laws.items()} for amount in grid]
        predicted.append(curve_of_means(learnt.teacher, list(grid), drawn))
    x, y = "response tokens", "held-out loss (nats per token)"
    return (
        Panel(
            title="Measured", x_label=x, y_label=y, curves=tuple(measured), log_x=True, log_y=True
        ),
        Panel(
            title="Law fitted without the last point",
            x_label=x,
            y_label=y,
            curves=tuple(predicted),
            log_x=True,
            log_y=True,
        ),
    )


def _mean(by_seed: Mapping[int, float]) -> Quantity:
    return Quantity.of(mean_over_seeds(by_seed))


def _text(mean: SeedMean, decimals: int) -> str:
    value = f"{mean.value:.{decimals}f}"
    if mean.low is None or mean.high is None:
        return value
    return f"{value} [{mean.low:.{decimals}f}, {mean.high:.{decimals}f}]"

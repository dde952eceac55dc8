"""What the training of a row costs alone: from a few timed steps, and the tokens of its card.

    cost of step k = seconds without generation + T · seconds a generated token

T are the tokens that the *whole* training generated, a step: whether a step generates is drawn in
some methods, and responses change their length, so a few steps say little about it. What was done
once before the first step is spread over all steps, teacher's responses by their tokens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

from kdbench.stats.over_seeds import SeedMean, mean_over_seeds
from kdbench.store.runs import StoredRun
from kdbench.store.timings import Cost, TrainingTiming

CostClock = Literal["seconds", "processor"]
RESPONSES = "teacher_responses"
"""The phase in which the teacher answers the training set before the first step."""


@dataclass(frozen=True)
class TrainedAmounts:
    """How much a whole training was, the mean over training seeds.

    Attributes:
        steps: Optimiser steps.
        generated: Tokens that were generated in steps; None where the card does not say.
        answered: Tokens that the teacher generated before the first step; None as well.
    """

    steps: float
    generated: float | None
    answered: float | None


@dataclass(frozen=True)
class RowCost:
    """The cost of a row's training on one clock.

    Attributes:
        by_step: Seconds of each timed step, by its number, with its part of what was done once.
        steps: Optimiser steps of the whole training.
        borrowed: Whether the seconds of a generated token are those of other rows.
    """

    by_step: Mapping[int, float]
    steps: float
    borrowed: bool = False

    @property
    def step(self) -> SeedMean:
        """Seconds of a step, with the 95 % interval over timed steps."""
        return mean_over_seeds(self.by_step)

    @property
    def total(self) -> float:
        """Seconds of the whole training."""
        return self.step.value * self.steps


def amounts_of(runs: Iterable[StoredRun], batch_size: int) -> TrainedAmounts | None:
    """What the cards of trainings say; None if one does not say how many steps it took.

    Args:
        runs: Results of the training seeds.
        batch_size: Examples in a step.
    """
    trainings: list[Mapping[str, Any]] = [run.record.get("training") or {} for run in runs]
    samples = [training.get("samples") for training in trainings]
    if not samples or any(not count for count in samples):
        return None
    return TrainedAmounts(
        fmean(float(count or 0) for count in samples) / batch_size,
        _mean(training.get("student_tokens") for training in trainings),
        _mean(training.get("teacher_tokens") for training in trainings),
    )


def pace_of(timing: TrainingTiming, clock: CostClock) -> float | None:
    """Seconds of a generated token in timed steps, else in warm-up steps; None if neither did."""
    timed = [step.generating for stage in timing.stages for step in stage.steps]
    for costs in (timed, [stage.warm_up.generating for stage in timing.stages]):
        if tokens := sum(cost.tokens for cost in costs):
            return sum(_of(cost, clock) for cost in costs) / tokens
    return None


def row_cost(
    timing: TrainingTiming,
    amounts: TrainedAmounts,
    clock: CostClock,
    other_pace: float | None = None,
) -> RowCost | None:
    """The cost of a training.

    Args:
        timing: Its timed steps.
        amounts: How much the whole training was.
        clock: The clock.
        other_pace: Seconds of a generated token in other rows.

    Returns:
        The cost; None if the training generated and neither its timed steps nor other rows did.
    """
    own = pace_of(timing, clock)
    pace = other_pace if own is None else own
    generated = amounts.generated
    if generated and pace is None:
        return None
    once = sum(_once(name, cost, amounts, clock) for name, cost in timing.once.items())
    by_step = {
        number: _step(timing, number, generated, amounts.steps, pace or 0.0, clock)
        + once / amounts.steps
        for number in range(timing.timed_steps)
    }
    return RowCost(by_step, amounts.steps, borrowed=bool(generated) and own is None)


def row_costs(
    timings: Mapping[str, TrainingTiming], amounts: Mapping[str, TrainedAmounts], clock: CostClock
) -> dict[str, RowCost | None]:
    """The costs of several rows; where one has not generated, the others' median pace is taken."""
    known = [pace for timing in timings.values() if (pace := pace_of(timing, clock)) is not None]
    other = median(known) if known else None
    return {label: row_cost(timings[label], amounts[label], clock, other) for label in timings}


def _step(
    timing: TrainingTiming,
    number: int,
    generated: float | None,
    steps: float,
    pace: float,
    clock: CostClock,
) -> float:
    """Seconds of the timed step of a number: of each stage, by the stage's share of all steps."""
    whole = generating = tokens = 0.0
    for stage in timing.stages:
        step = stage.steps[number]
        whole += stage.share * _of(step.whole, clock)
        generating += stage.share * _of(step.generating, clock)
        tokens += stage.share * step.generating.tokens
    if generated is None:
        return whole
    own_pace = generating / tokens if tokens else pace
    return whole - generating + generated / steps * own_pace


def _once(name: str, cost: Cost, amounts: TrainedAmounts, clock: CostClock) -> float:
    if name == RESPONSES and cost.tokens and amounts.answered is not None:
        return _of(cost, clock) / cost.tokens * amounts.answered
    return _of(cost, clock)


def _of(cost: Cost, clock: CostClock) -> float:
    return cost.seconds if clock == "seconds" else cost.processor_seconds


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else fmean(value for value in known if value is not None)

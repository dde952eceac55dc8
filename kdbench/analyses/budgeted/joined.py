"""Costs and results of a table's methods, joined: who is where, and who is on the front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from kdbench.analyses.budgeted.costs import (
    CostClock,
    RowCost,
    TrainedAmounts,
    amounts_of,
    row_costs,
)
from kdbench.analyses.budgeted.picks import Pick, picks
from kdbench.analyses.budgeted.table import BudgetRow, BudgetTable
from kdbench.analyses.core.against import Difference, differences_from
from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean, mean_over_seeds
from kdbench.stats.pareto import pareto_front, times_on_front
from kdbench.stats.ratio import ratio_over_seeds
from kdbench.store.conclusions import Quantity
from kdbench.store.timings import TrainingTiming

BUSY = 0.1
"""Share of the machine's processor time from which on others count as company."""


@dataclass(frozen=True)
class TimedMethod:
    """A method with its costs and its quality.

    Attributes:
        label: Label of the row.
        timing: Its timed steps.
        amounts: How much the whole training was.
        costs: Its costs by clock.
        quality: The metric's mean over tasks, by training seed.
    """

    label: str
    timing: TrainingTiming = field(repr=False)
    amounts: TrainedAmounts = field(repr=False)
    costs: Mapping[CostClock, RowCost]
    quality: Mapping[int, float]

    @property
    def mean(self) -> SeedMean:
        """The quality's mean over training seeds."""
        return mean_over_seeds(self.quality)


@dataclass(frozen=True)
class Joined:
    """The methods of a table.

    Attributes:
        methods: The methods, the cheapest first.
        baseline: The one that the others are compared with.
        clock: The clock of the costs.
        table: The table.
        left_out: Rows that are left out, and why.
    """

    methods: tuple[TimedMethod, ...]
    baseline: TimedMethod
    clock: CostClock
    table: BudgetTable
    left_out: tuple[str, ...]

    @property
    def sign(self) -> int:
        """1 if higher values of the metric are better, -1 if lower ones are."""
        return -1 if self.table.lower else 1

    @property
    def decimals(self) -> int:
        """Decimals of the metric."""
        return 2 if self.table.unit == "points" else 3

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds that all methods have."""
        return tuple(sorted(self.baseline.quality))

    @cached_property
    def relative(self) -> dict[str, float]:
        """The cost of each method's training, over that of the baseline."""
        base = self.baseline.costs[self.clock].total
        return {method.label: method.costs[self.clock].total / base for method in self.methods}

    def relative_step(self, method: TimedMethod, clock: CostClock) -> Quantity:
        """What a step costs, over a step of the baseline, with Fieller's interval over steps."""
        own, base = (one.costs[clock] for one in (method, self.baseline))
        value = own.step.value / base.step.value
        same = own.by_step.keys() == base.by_step.keys() and method is not self.baseline
        found = ratio_over_seeds(own.by_step, base.by_step) if same else None
        if found is None:
            return Quantity(value=value)
        return Quantity(value=value, low=found.low, high=found.high, n=len(found.seeds))

    @cached_property
    def gains(self) -> dict[str, Difference]:
        """How much better each method is than the baseline, by training seed, with Holm's p."""
        signed = self._signed
        base = signed.pop(self.baseline.label)
        return differences_from(base, signed)

    @cached_property
    def over_cheapest(self) -> dict[str, Difference]:
        """The same against the cheapest method."""
        signed = self._signed
        cheapest = signed.pop(self.methods[0].label)
        return differences_from(cheapest, signed)

    @cached_property
    def front(self) -> list[str]:
        """The methods on the Pareto front by their means, the cheapest first."""
        means = [fmean(values.values()) for values in self._signed.values()]
        return [self.methods[place].label for place in pareto_front(self._totals, means)]

    @cached_property
    def seeds_on_front(self) -> dict[str, int]:
        """In how many training seeds each method is on the front of that seed."""
        by_seed = [[values[seed] for values in self._signed.values()] for seed in self.seeds]
        counts = times_on_front(self._totals, by_seed)
        return {method.label: count for method, count in zip(self.methods, counts, strict=True)}

    @cached_property
    def picks(self) -> list[Pick]:
        """The methods under each budget that matters."""
        return picks(self.relative, self._signed)

    @property
    def busy(self) -> list[str]:
        """Methods during whose timing others used the machine."""
        return [one.label for one in self.methods if (one.timing.others or 0.0) > BUSY]

    @property
    def _signed(self) -> dict[str, dict[int, float]]:
        return {
            one.label: {seed: self.sign * value for seed, value in one.quality.items()}
            for one in self.methods
        }

    @property
    def _totals(self) -> list[float]:
        return [method.costs[self.clock].total for method in self.methods]


def join(
    table: BudgetTable,
    timings: Mapping[str, TrainingTiming],
    clock: CostClock | None,
    not_timed: Mapping[str, str],
) -> Joined:
    """Join the timings of a table's rows with their results.

    Args:
        table: The table with its results.
        timings: Timings by label of the row.
        clock: The clock; None chooses the processor's where others used the machine.
        not_timed: Why rows have no timing, by label.

    Raises:
        InputError: The baseline or all others lack a timing, a card or training seeds.
    """
    rows, left_out = _comparable(table, timings, not_timed)
    amounts = {label: found for label, (_, found) in rows.items()}
    own = {label: timings[label] for label in rows}
    costs = {of: row_costs(own, amounts, of) for of in ("seconds", "processor")}
    methods = list[TimedMethod]()
    for label, (row, amount) in rows.items():
        both = {of: by_label[label] for of, by_label in costs.items()}
        if any(cost is None for cost in both.values()):
            left_out.append(f"{label} (generated nothing in its timed steps; raise timed_steps=)")
            continue
        known = {of: cost for of, cost in both.items() if cost is not None}
        methods.append(TimedMethod(label, timings[label], amount, known, table.quality(row)))  # type: ignore[arg-type]
    baseline = next((one for one in methods if one.label == table.baseline), None)
    if baseline is None or len(methods) < 2:
        raise InputError(
            f"no method can be compared with {table.baseline}: "
            f"{'; '.join((*table.left_out, *left_out))}"
        )
    chosen = clock or _clock(methods)
    methods.sort(key=lambda one: one.costs[chosen].total)
    return Joined(tuple(methods), baseline, chosen, table, (*table.left_out, *left_out))


def _comparable(
    table: BudgetTable, timings: Mapping[str, TrainingTiming], not_timed: Mapping[str, str]
) -> tuple[dict[str, tuple[BudgetRow, TrainedAmounts]], list[str]]:
    """The rows with a timing, a card and the baseline's training seeds; and the others."""
    base = next(row for row in table.rows if row.label == table.baseline)
    rows, left_out = dict[str, tuple[BudgetRow, TrainedAmounts]](), list[str]()
    for row in table.rows:
        timing = timings.get(row.label)
        if timing is None:
            left_out.append(f"{row.label} ({not_timed.get(row.label, 'not timed')})")
            continue
        amounts = amounts_of(row.runs.values(), timing.batch_size)
        missing = [str(seed) for seed in base.runs if seed not in row.runs]
        if amounts is None:
            left_out.append(f"{row.label} (its card does not say how many steps it took)")
        elif missing:
            left_out.append(f"{row.label} (no training seed {', '.join(missing)})")
        else:
            of_base = {seed: run for seed, run in row.runs.items() if seed in base.runs}
            rows[row.label] = (BudgetRow(row.label, row.keys, of_base), amounts)
    return rows, left_out


def _clock(methods: Sequence[TimedMethod]) -> CostClock:
    """Processor time where others used the machine; a GPU's work is not in it."""
    on_cpu = all(one.timing.device == "cpu" for one in methods)
    disturbed = any((one.timing.others or 0.0) > BUSY for one in methods)
    return "processor" if on_cpu and disturbed else "seconds"

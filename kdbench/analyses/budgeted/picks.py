"""Which method to pick under a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import fmean

from kdbench.analyses.core.against import Difference, differences_from
from kdbench.stats.pareto import pareto_front

_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_SLACK = 1e-9  # for rounding in the baseline's own ratio


@dataclass(frozen=True)
class Pick:
    """The methods under a budget.

    Attributes:
        budget: The budget, in costs of the baseline.
        affordable: The methods within it, the cheapest first.
        best: The one with the best mean.
        ties: Those that are not told apart from it, the cheapest first.
        pick: The cheapest method, unless one within the budget is shown to be better than it. Then
            the cheapest on the Pareto front that is shown to be, or that costs no more than one
            that is and has no worse mean; but none that the best is shown to beat.
    """

    budget: float
    affordable: tuple[str, ...]
    best: str
    ties: tuple[str, ...]
    pick: str


def budgets(costs: Sequence[float]) -> list[float]:
    """Round budgets, ascending: those at which another method becomes affordable.

    Args:
        costs: Costs of the methods, in costs of the baseline.
    """
    first, last = floor(log10(min(costs))), floor(log10(max(costs))) + 1
    series = [step * 10.0**power for power in range(first, last + 1) for step in _STEPS]
    found, affordable = list[float](), 0
    for budget in series:
        count = sum(cost <= budget + _SLACK for cost in costs)
        if count > affordable:
            found.append(budget)
            affordable = count
    return found


def picks(costs: Mapping[str, float], qualities: Mapping[str, Mapping[int, float]]) -> list[Pick]:
    """The methods under each budget that matters.

    Two families of paired tests are made, each with Holm's correction over the *whole* table, so
    that a larger budget does not weaken a test: all methods against the cheapest, and all against
    the best within the budget. It is not enough for a pick to be not told apart from the best: a
    method whose training seeds differ much is told apart from nothing.

    Args:
        costs: Costs by method, in costs of the baseline.
        qualities: Quality by method and training seed; higher is better.
    """
    order = sorted(costs, key=lambda label: costs[label])
    above = _against(order[0], qualities)
    return [_pick(budget, order, costs, qualities, above) for budget in budgets([*costs.values()])]


def _pick(
    budget: float,
    order: Sequence[str],
    costs: Mapping[str, float],
    qualities: Mapping[str, Mapping[int, float]],
    above: Mapping[str, Difference],
) -> Pick:
    affordable = [label for label in order if costs[label] <= budget + _SLACK]
    means = {label: fmean(qualities[label].values()) for label in affordable}
    best = max(affordable, key=lambda label: means[label])  # of equal means the cheaper one
    below = _against(best, qualities)
    beaten = {label for label in affordable if label != best and below[label].direction < 0}
    shown = [label for label in affordable[1:] if above[label].direction > 0]
    front = pareto_front([costs[label] for label in affordable], [*means.values()])
    worth = [
        label
        for label in (affordable[place] for place in front)
        if any(costs[label] <= costs[one] and means[label] >= means[one] for one in shown)
    ]
    kept = [label for label in (worth or affordable[:1]) if label not in beaten]
    ties = [one for one in affordable if one != best and below[one].direction == 0]
    return Pick(budget, tuple(affordable), best, tuple(ties), next(iter(kept), best))


def _against(reference: str, qualities: Mapping[str, Mapping[int, float]]) -> dict[str, Difference]:
    others = {label: qualities[label] for label in qualities if label != reference}
    return differences_from(qualities[reference], others)

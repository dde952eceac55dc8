"""The answer of the analysis `budget` as tables and a figure."""

from statistics import fmean, median

from kdbench.analyses.budgeted.joined import Joined, TimedMethod
from kdbench.analyses.budgeted.words import named, times
from kdbench.stats.over_seeds import ends_of
from kdbench.store.conclusions import (
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
    columns_of,
)


def budget_tables(found: Joined) -> tuple[ConclusionTable, ...]:
    """What a step costs, what it buys, and the picks."""
    tables = (_step_table(found), _quality_table(found))
    return tables if len(found.seeds) < 2 else (*tables, _pick_table(found))


def _step_table(found: Joined) -> ConclusionTable:
    base = found.baseline.label
    columns = columns_of(
        "method",
        ConclusionColumn(title="seconds", unit="s"),
        ConclusionColumn(title=f"over {base}'s", decimals=2),
        "timed steps: median [least, most] (s)",
        ConclusionColumn(title="processor seconds", unit="s"),
        ConclusionColumn(title=f"over {base}'s", decimals=2),
        ConclusionColumn(title="student tokens", decimals=0),
        ConclusionColumn(title="teacher tokens", decimals=0),
        ConclusionColumn(title="tokens of other models", decimals=0),
        ConclusionColumn(title="generated tokens", decimals=0),
    )
    return ConclusionTable(
        title="A step, timed alone",
        columns=tuple(columns),
        rows=tuple(
            (
                method.label,
                Quantity.of(method.costs["seconds"].step),
                found.relative_step(method, "seconds"),
                _spread(method),
                Quantity.of(method.costs["processor"].step),
                found.relative_step(method, "processor"),
                *(_tokens(method, name) for name in ("student", "teacher", "other")),
                _generated(method),
            )
            for method in found.methods
        ),
    )


def _spread(method: TimedMethod) -> str:
    seconds = [step.whole.seconds for stage in method.timing.stages for step in stage.steps]
    return f"{median(seconds):.3f} [{min(seconds):.3f}, {max(seconds):.3f}]"


def _tokens(method: TimedMethod, name: str) -> Quantity | None:
    """Tokens that went through a model, a timed step."""
    total = 0.0
    for stage in method.timing.stages:
        counts = [getattr(step, f"{name}_tokens") for step in stage.steps]
        if None in counts:
            return None
        total += stage.share * fmean(counts)
    return Quantity(value=total)


def _generated(method: TimedMethod) -> Quantity | None:
    """Tokens that the whole training generated, a step, the teacher's before it among them."""
    known = (method.amounts.generated, method.amounts.answered)
    if None in known:
        return None
    return Quantity(value=sum(tokens or 0.0 for tokens in known) / method.amounts.steps)


def _quality_table(found: Joined) -> ConclusionTable:
    base, metric = found.baseline.label, found.table.metric
    columns = columns_of(
        "method",
        ConclusionColumn(title="cost of the training", unit=_unit(found), decimals=1),
        ConclusionColumn(title=f"over {base}'s", decimals=2),
        ConclusionColumn(title=metric, unit=found.table.unit, decimals=found.decimals),
        ConclusionColumn(
            title=f"gain over {base}", unit=found.table.unit, decimals=found.decimals, signed=True
        ),
        "on the front",
        "seeds on the front",
    )
    rows = []
    for method in found.methods:
        gain = found.gains.get(method.label)
        rows.append(
            (
                method.label,
                Quantity(value=method.costs[found.clock].total),
                Quantity(value=found.relative[method.label]),
                Quantity.of(method.mean),
                None if gain is None else gain.quantity(),
                "yes" if method.label in found.front else "no",
                f"{found.seeds_on_front[method.label]} of {len(found.seeds)}",
            )
        )
    return ConclusionTable(
        title="Quality and cost of the whole training", columns=tuple(columns), rows=tuple(rows)
    )


def _pick_table(found: Joined) -> ConclusionTable:
    columns = columns_of(
        f"budget, in {found.baseline.label}'s cost",
        "methods within it",
        "best mean",
        "not told apart from it",
        "pick",
    )
    rows = tuple(
        (
            times(one.budget),
            str(len(one.affordable)),
            named(found, [one.best]),
            named(found, one.ties) if one.ties else "",
            named(found, [one.pick]),
        )
        for one in found.picks
    )
    return ConclusionTable(title="What to pick", columns=tuple(columns), rows=rows)


def panels(found: Joined) -> tuple[Panel, ...]:
    """Quality against the cost of the training, with the Pareto front."""
    by_label = {method.label: method for method in found.methods}
    front = [by_label[label] for label in found.front]
    curve = PanelCurve(
        label="Pareto front",
        x=tuple(one.costs[found.clock].total for one in front),
        y=tuple(one.mean.value for one in front),
    )
    unit = f" ({found.table.unit})" if found.table.unit else ""
    return (
        Panel(
            title="Quality against cost",
            x_label=f"cost of the whole training ({_unit(found)}, alone)",
            y_label=f"{found.table.metric}{unit}",
            curves=(_points(found), curve),
            log_x=True,
        ),
    )


def _points(found: Joined) -> PanelCurve:
    """The methods by name, with intervals over training seeds and over timed steps."""
    costs = [method.costs[found.clock] for method in found.methods]
    means = [method.mean for method in found.methods]
    low, high = ends_of((mean.low, mean.high) for mean in means)
    spans = [(cost.step.low, cost.step.high, cost.steps) for cost in costs]
    left, right = ends_of((a and a * n, b and b * n) for a, b, n in spans)
    shows = bool(left) and min(left) > 0  # a log axis has no room for others
    return PanelCurve(
        label="methods",
        x=tuple(cost.total for cost in costs),
        y=tuple(mean.value for mean in means),
        low=low,
        high=high,
        left=left if shows else (),
        right=right if shows else (),
        joined=False,
        names=tuple(method.label for method in found.methods),
    )


def _unit(found: Joined) -> str:
    return "processor s" if found.clock == "processor" else "s"

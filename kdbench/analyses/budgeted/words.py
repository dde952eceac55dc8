"""The answer of the analysis `budget`: tables, figure, sentences and notes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from statistics import fmean, median

from kdbench.analyses.budgeted.costs import Clock
from kdbench.analyses.budgeted.joined import BUSY, Joined, Method
from kdbench.analyses.budgeted.picks import Pick
from kdbench.analyses.core.against import listed
from kdbench.store.conclusions import (
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    PanelPoint,
    Quantity,
    columns_of,
)
from kdbench.text import counted

_CLOCKS: dict[Clock, str] = {"seconds": "seconds", "processor": "processor seconds"}


def sentences(found: Joined) -> Iterator[str]:
    """What dearer methods buy, and the pick under each budget."""
    if len(found.seeds) < 2:
        yield (
            f"No pick is made: the results have one training seed, which tells no method from "
            f"another. {found.front[-1]} has the best {found.table.metric}, at "
            f"{_times(found.relative[found.front[-1]])} {found.baseline.label}'s cost."
        )
        return
    yield _gain_of_dearer(found)
    for _, same in groupby(found.picks, key=lambda pick: (pick.best, pick.pick(found.relative))):
        yield _pick_sentence(found, list(same))


def _gain_of_dearer(found: Joined) -> str:
    cheapest, metric = found.methods[0].label, found.table.metric
    gains = found.over_cheapest
    better = [label for label, gain in gains.items() if gain.direction > 0]
    if better:
        shown = [
            f"{label} by {gains[label].text(2)} (p {_p(gains[label].p)}) at "
            f"{_times(found.relative[label])}"
            for label in better
        ]
        return (
            f"Better than {cheapest}, the cheapest method, in {metric}: {listed(shown)} "
            f"{found.baseline.label}'s cost."
        )
    top = max(gains, key=lambda label: gains[label].found.value)
    most = gains[top]
    if most.found.value <= 0:
        return f"No dearer method is better than {cheapest}, the cheapest, in {metric}."
    return (
        f"No dearer method is shown to be better than {cheapest}, the cheapest, in {metric}: the "
        f"largest gain is {top}'s, {most.text(2)} (p {_p(most.p)}), at "
        f"{_times(found.relative[top])} {found.baseline.label}'s cost."
    )


def _pick_sentence(found: Joined, same: Sequence[Pick]) -> str:
    last = same[-1]
    pick, spans = last.pick(found.relative), _span(same)
    begin = f"Under {spans} {found.baseline.label}'s cost: {pick}"
    ties = [label for label in last.ties if label != pick]
    if pick == last.best:
        if not ties:
            alone = "is the only one" if last.affordable == 1 else "is better than all others"
            return f"{begin}, which {alone}."
        return f"{begin}; {_with_costs(found, ties)} not told apart from it."
    others = f", nor {_names(found, ties)}" if ties else ""
    return (
        f"{begin}; {last.best} ({_times(found.relative[last.best])}) has the best mean, and {pick} "
        f"is not told apart from it{others}."
    )


def _span(same: Sequence[Pick]) -> str:
    first, last = _times(same[0].budget), _times(same[-1].budget)
    return first if first == last else f"{first} to {last}"


def _names(found: Joined, labels: Sequence[str]) -> str:
    return listed([f"{label} ({_times(found.relative[label])})" for label in labels])


def _with_costs(found: Joined, labels: Sequence[str]) -> str:
    return f"{_names(found, labels)} {'is' if len(labels) == 1 else 'are'}"


def _times(ratio: float) -> str:
    """`1.9x`; two digits below 10."""
    return f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x"


def _p(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


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


def _spread(method: Method) -> str:
    seconds = [step.whole.seconds for stage in method.timing.stages for step in stage.steps]
    return f"{median(seconds):.3f} [{min(seconds):.3f}, {max(seconds):.3f}]"


def _tokens(method: Method, name: str) -> Quantity | None:
    """Tokens that went through a model, a timed step."""
    total = 0.0
    for stage in method.timing.stages:
        counts = [getattr(step, f"{name}_tokens") for step in stage.steps]
        if None in counts:
            return None
        total += stage.share * fmean(counts)
    return Quantity(value=total)


def _generated(method: Method) -> Quantity | None:
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
        ConclusionColumn(title=metric, unit=found.table.unit, decimals=2),
        ConclusionColumn(title=f"gain over {base}", unit=found.table.unit, decimals=2, signed=True),
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
            _times(one.budget),
            str(one.affordable),
            _names(found, [one.best]),
            _names(found, one.ties) if one.ties else "",
            _names(found, [one.pick(found.relative)]),
        )
        for one in found.picks
    )
    return ConclusionTable(title="What to pick", columns=tuple(columns), rows=rows)


def panels(found: Joined) -> tuple[Panel, ...]:
    """Quality against the cost of the training, with the Pareto front."""
    by_label = {method.label: method for method in found.methods}
    front = [by_label[label] for label in found.front]
    x, y = (
        [one.costs[found.clock].total for one in front],
        [one.mean.value for one in front],
    )
    curve = PanelCurve(label="Pareto front", x=_stairs(x, late=True), y=_stairs(y, late=False))
    points = tuple(_point(method, found.clock) for method in found.methods)
    unit = f" ({found.table.unit})" if found.table.unit else ""
    return (
        Panel(
            title="Quality against cost",
            x_label=f"cost of the whole training ({_unit(found)}, alone)",
            y_label=f"{found.table.metric}{unit}",
            curves=(curve,),
            points=points,
            log_x=True,
        ),
    )


def _point(method: Method, clock: Clock) -> PanelPoint:
    cost, mean = method.costs[clock], method.mean
    low, high = cost.step.low, cost.step.high
    known = low is not None and high is not None and low > 0
    return PanelPoint(
        label=method.label,
        x=cost.total,
        y=mean.value,
        x_low=low * cost.steps if known and low is not None else None,
        x_high=high * cost.steps if known and high is not None else None,
        low=mean.low,
        high=mean.high,
    )


def _stairs(values: Sequence[float], late: bool) -> tuple[float, ...]:
    """Corners of the front: a budget buys the best method up to it, until the next one."""
    doubled = [value for value in values for _ in range(2)]
    return tuple(doubled[1:] if late else doubled[:-1])


def _unit(found: Joined) -> str:
    return "processor s" if found.clock == "processor" else "s"


def notes(found: Joined) -> Iterator[str]:
    """How to read the numbers, and what limits them."""
    timings = [method.timing for method in found.methods]
    steps = {timing.timed_steps for timing in timings}
    start_up = [timing.start_up_seconds for timing in timings]
    yield (
        f"{_range(steps)} steps of each training, timed alone after a warm-up step on "
        f"{timings[0].machine}, {listed(sorted({timing.precision for timing in timings}))}. Not "
        "counted: validation, saving, and start-up with a first validation "
        f"({_seconds(start_up)}). Intervals of a step are over timed steps, those of quality over "
        f"{counted(len(found.seeds), 'training seed')}; p-values are Holm's."
    )
    yield (
        "Seconds of a step count the tokens that the whole training generated, by its card, at the "
        "pace of the timed steps; the teacher's responses before training are spread over all "
        "steps. Tokens of student, teacher and other models are those of timed steps that went "
        f"through the model, prompts and padding included; {found.table.metric} is a mean over "
        f"{counted(len(found.table.tasks), 'task')}."
    )
    yield from _company(found)
    borrowed = [one.label for one in found.methods if one.costs[found.clock].borrowed]
    if borrowed:
        yield (
            f"{listed(borrowed)} generated nothing in the timed steps: the pace of a generated "
            "token is the median of the other methods'."
        )
    if len(found.seeds) > 1:
        yield (
            "The best mean is chosen by the scores that are tested, so it looks better than it is; "
            f"with {counted(len(found.seeds), 'training seed')} and Holm's correction, methods "
            "that differ may not be told apart."
        )
    if found.left_out:
        yield f"Left out: {', '.join(found.left_out)}."


def _company(found: Joined) -> Iterator[str]:
    busy = found.busy
    if busy:
        most = max(one.timing.others or 0.0 for one in found.methods)
        who = "all methods" if len(busy) == len(found.methods) else listed(busy)
        clock = (
            "costs are processor time, which others lengthen little"
            if found.clock == "processor"
            else "costs are seconds on the wall, which are too long then"
        )
        yield (
            f"The machine was busy: others took up to {100 * most:.0f} % of its processor time "
            f"(note from {100 * BUSY:.0f} %) while {who} were timed; {clock}. Delete timings.json "
            "to time again on a quiet machine."
        )
    unknown = [one.label for one in found.methods if one.timing.others is None]
    if unknown:
        yield f"Whether others used the machine is not known for {listed(unknown)}."


def _range(values: Iterable[int]) -> str:
    least, most = min(known := list(values)), max(known)
    return str(least) if least == most else f"{least} to {most}"


def _seconds(values: Sequence[float]) -> str:
    least, most = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{least} s" if least == most else f"{least} to {most} s"

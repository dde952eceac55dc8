"""The answer of the analysis `budget` in words: sentences and notes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from kdbench.analyses.budgeted.joined import BUSY, Joined
from kdbench.analyses.budgeted.picks import Pick
from kdbench.analyses.core.against import listed
from kdbench.text import counted


def sentences(found: Joined) -> Iterator[str]:
    """What dearer methods buy, and the pick under each budget."""
    if len(found.seeds) < 2:
        yield (
            f"No pick is made: the results have one training seed, which tells no method from "
            f"another. {found.front[-1]} has the best {found.table.metric}, at "
            f"{times(found.relative[found.front[-1]])} {found.baseline.label}'s cost."
        )
        return
    yield _gain_of_dearer(found)
    for _, same in groupby(found.picks, key=lambda one: (one.best, one.pick)):
        yield _pick_sentence(found, list(same))


def _gain_of_dearer(found: Joined) -> str:
    cheapest, metric = found.methods[0].label, found.table.metric
    gains = found.over_cheapest
    better = [label for label, gain in gains.items() if gain.direction > 0]
    if better:
        shown = [
            f"{label} by {gains[label].text(found.decimals)} (p {_p(gains[label].p)}) at "
            f"{times(found.relative[label])}"
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
        f"largest gain is {top}'s, {most.text(found.decimals)} (p {_p(most.p)}), at "
        f"{times(found.relative[top])} {found.baseline.label}'s cost."
    )


def _pick_sentence(found: Joined, same: Sequence[Pick]) -> str:
    last, base = same[-1], found.baseline.label
    begin = f"Under {_span(same)} {base}'s cost: {named(found, [last.pick])}"
    if last.pick != last.best:
        return (
            f"{begin}; {named(found, [last.best])} has the best mean, and is not told apart from "
            "it."
        )
    if len(last.affordable) == 1:
        return f"{begin}, the only one."
    if not last.ties:
        return f"{begin}, which is better than all others within it."
    text = f"{begin}; {named(found, last.ties)} {_are(last.ties)} not told apart from it"
    cheapest = last.affordable[0]
    better = [one for one in last.affordable[1:] if found.over_cheapest[one].direction > 0]
    if cheapest in last.ties and better:
        text += f", though {listed(better)} {_are(better)} shown to be better than {cheapest}"
    return f"{text}."


def _are(labels: Sequence[str]) -> str:
    return "is" if len(labels) == 1 else "are"


def _span(same: Sequence[Pick]) -> str:
    first, last = times(same[0].budget), times(same[-1].budget)
    return first if first == last else f"{first} to {last}"


def named(found: Joined, labels: Sequence[str]) -> str:
    """Methods with their costs: `KD (1.7x) and GKD (3.1x)`."""
    return listed([f"{label} ({times(found.relative[label])})" for label in labels])


def times(ratio: float) -> str:
    """A ratio of costs: `1.9x`, with two digits below 10."""
    return f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x"


def _p(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


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
        verb = "was" if len(busy) == 1 else "were"
        clock = (
            "costs are processor time, which others lengthen little"
            if found.clock == "processor"
            else "costs are seconds on the wall, which are too long then"
        )
        yield (
            f"The machine was busy: others took up to {100 * most:.0f} % of its processor time "
            f"(note from {100 * BUSY:.0f} %) while {who} {verb} timed; {clock}. Delete the "
            "table's timings.json to time again on a quiet machine."
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

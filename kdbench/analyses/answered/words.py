"""The sentences of the answer, from the numbers."""

from collections.abc import Iterator, Sequence

from kdbench.analyses.answered.kinds import (
    LOSES,
    MORE,
    OPEN,
    WITHOUT,
    AnswerChange,
    counted_kinds,
    verdict_of,
)
from kdbench.analyses.answered.measures import AnswerMeasures, GainCorrelations
from kdbench.stats.over_seeds import SeedMean
from kdbench.stats.rank_correlation import RankCorrelation
from kdbench.text import counted


def sentences(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> Iterator[str]:
    """What was found: the claim, how gain and agreement go together, and kappa."""
    yield _claim(measures, changes)
    yield from _together(measures, changes)


def _claim(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> str:
    counts = counted_kinds(changes)
    gaining = counts[MORE] + counts[WITHOUT] + counts[OPEN]
    start = (
        "The published claim, that students gain without agreeing more with their teacher, is "
        f"{verdict_of(changes)} here: of {counted(len(changes), 'method')}, "
        f"{counted(gaining, 'gains', 'gain')} over {measures.table.labels[0]} and "
        f"{counted(counts[LOSES], 'loses', 'lose')}, at 5 % with Holm's correction"
    )
    if not gaining:
        above = sum((change.gain.found.low or 0) > 0 for change in changes)
        return f"{start}; without it, {above} of the intervals of the gain lie above 0."
    return (
        f"{start}. Of those that gain, {counted(counts[MORE], 'agrees', 'agree')} more with the "
        f"teacher; {counted(counts[WITHOUT], 'does', 'do')} not, as agreement rises by less than "
        f"half of the gain if at all; and {counted(counts[OPEN], 'is', 'are')} open."
    )


def _together(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> Iterator[str]:
    found = measures.correlations(measures.agreements)
    if found is None:
        yield "Three methods or more, which differ, are needed to correlate gain and agreement."
        return
    words = {
        1: "go together",
        0: "are not seen to go together",
        -1: "oppose each other",
    }
    kappa = measures.correlations(measures.kappa)
    beyond = "" if kappa is None else f"; for kappa of being right it is {_ends(kappa.over_rows)}"
    yield (
        f"Over {counted(len(changes), 'method')}, gain and agreement with the teacher "
        f"{words[found.over_rows.direction]} (rank correlation {_ends(found.over_rows)}"
        f"{_between(found)}){beyond}."
    )
    known = [change.kappa for change in changes if change.kappa is not None]
    up, down = (sum(of.direction == way for of in known) for way in (1, -1))
    yield (
        f"In kappa, which accuracy alone does not raise, of {counted(len(known), 'method')} "
        f"{counted(up, 'rises', 'rise')} over {measures.table.labels[0]} and "
        f"{counted(down, 'falls', 'fall')}, at 5 % with Holm's correction."
    )


def _between(found: GainCorrelations) -> str:
    if found.between_seeds is None:
        return ""
    return f"; between training seeds {_ends(found.between_seeds)}"


def _ends(found: RankCorrelation | SeedMean) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:+.2f}"
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"

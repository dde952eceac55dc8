"""The figure: gain against the change of agreement, and who is right."""

from collections.abc import Iterator, Sequence

from kdbench.analyses.answered.kinds import KINDS, NONE, AnswerChange
from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.stats.over_seeds import ends_of
from kdbench.store.conclusions import Panel, PanelCurve

PARTS = (
    "both right",
    "both wrong, same answer",
    "only the student right",
    "only the teacher right",
    "both wrong, different answers",
)
"""Labels of the cells, in the order of `kdbench.analyses.answered.read.CELLS`."""
_NAMED = 20
"""So many points have names; of more, those where something is found."""


def answer_panels(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> Iterator[Panel]:
    """The panels of the figure."""
    yield Panel(
        title="Gain and agreement",
        x_label="change of agreement with the teacher",
        y_label="gain in accuracy",
        curves=tuple(_points(changes)),
        crossed=True,
    )
    rows = [0, *(change.row for change in changes)]
    shares = [measures.table.cells[row].mean(axis=(0, 1)) for row in rows]
    yield Panel(
        title="Who is right",
        x_label="share of answers; blue is agreement",
        y_label="" if len(rows) <= 40 else "rows, those that gain most on top",
        curves=tuple(
            PanelCurve(
                label=name,
                x=tuple(range(len(rows))),
                y=tuple(float(of[place]) for of in shares),
            )
            for place, name in enumerate(PARTS)
        ),
        bars=tuple(measures.table.labels[row] for row in rows),
    )


def _points(changes: Sequence[AnswerChange]) -> Iterator[PanelCurve]:
    for kind in KINDS:
        of = [change for change in changes if change.kind == kind]
        if not of:
            continue
        gains, agreements = [c.gain.found for c in of], [c.agreement.found for c in of]
        (low, high), (left, right) = (
            ends_of((of.low, of.high) for of in found) for found in (gains, agreements)
        )
        yield PanelCurve(
            label=kind,
            x=tuple(found.value for found in agreements),
            y=tuple(found.value for found in gains),
            low=low,
            high=high,
            left=left,
            right=right,
            joined=False,
            names=tuple(_name(change, len(changes)) for change in of),
        )


def _name(change: AnswerChange, methods: int) -> str:
    found = change.kind != NONE or change.agreement.direction
    return change.label if found or methods <= _NAMED else ""

"""The table of a frontier."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.frontiers.words import (
    decimals_of,
    gain_text,
    notes,
    p_text,
    sentence,
    verdict_text,
)
from kdbench.store.frontiers import FrontierRecord, FrontierStudent
from kdbench.system.layout import GridLine, NumberCell, fit, wrapped
from kdbench.system.printed import PrintedTable
from kdbench.text import escape_md, interval, printable, signed

if TYPE_CHECKING:
    from rich.text import Text

_QUALITIES = 4  # the first column of qualities, which a narrow terminal leaves out


@dataclass(frozen=True, repr=False)
class Frontier(PrintedTable):
    """Quality against entropy of every student; `print` shows it as a terminal does.

    Attributes:
        record: The curves, gains and verdicts.
        folder: Folder of the runs, the figures and the stored numbers.
    """

    record: FrontierRecord
    folder: Path

    def records(self) -> list[dict[str, Any]]:
        """A row for each point of each curve, with the gain of its student."""
        return list(_points(self.record))

    def lines(self, width: int | None) -> "list[Text]":
        """The lines on a terminal.

        Args:
            width: Columns of the terminal; None for no limit.
        """
        return _lines(self.record, width)

    def markdown(self) -> str:
        """The table in Markdown, which ends with a newline."""
        title = f"**{escape_md(self.record.title)}: quality against entropy**"
        sentences = "\n".join(f"{text}  " for text in markdown_sentences(self.record)).rstrip()
        return f"{title}\n\n{markdown_table(self.record)}  \n{sentences}\n"

    def json_value(self) -> dict[str, Any]:
        """The stored numbers as a JSON value."""
        content: dict[str, Any] = self.record.model_dump(mode="json", by_alias=True)
        return content


def _points(record: FrontierRecord) -> Iterator[dict[str, Any]]:
    for student in record.students:
        gain = student.gain
        for point in student.points:
            yield {
                "student": student.label,
                "temperature": point.temperature,
                "entropy": point.entropy.value,
                "entropy_ci_low": point.entropy.low,
                "entropy_ci_high": point.entropy.high,
                record.metric: point.quality.value,
                f"{record.metric}_ci_low": point.quality.low,
                f"{record.metric}_ci_high": point.quality.high,
                "trainings": len(student.trainings),
                "frontier_gain": gain and gain.value,
                "gain_ci_low": gain and gain.low,
                "gain_ci_high": gain and gain.high,
                "p_holm": student.adjusted_p,
                "verdict": verdict_text(student, record),
            }


def _lines(record: FrontierRecord, width: int | None) -> "list[Text]":
    from rich.text import Text

    grid = list(_grid(record))
    spare = range(_QUALITIES, len(grid[0]))
    fitted = fit(grid, (0,), width, spare=spare)
    lines = [Text(f"{printable(record.title)}: quality against entropy", "bold"), *fitted.lines]
    lines.append(Text(""))
    sentences = [sentence(s, record) for s in record.students if s.label != record.baseline]
    for text in [*sentences, *notes(record)]:
        lines += map(Text, wrapped(printable(text), width, "  ", whole_words=True))
    return lines


def _grid(record: FrontierRecord) -> Iterator[GridLine]:
    decimals = decimals_of(record)
    titles = ["", "frontier_gain", "p", "verdict"]
    yield [*titles, *(f"T={t:g}" for t in record.temperatures)]
    for student in record.students:
        yield [
            printable(student.label),
            _gain_cell(student, decimals),
            p_text(student.adjusted_p),
            verdict_text(student, record),
            *(
                f"{point.quality.value:.{decimals}f} at {point.entropy.value:.2f}"
                for point in student.points
            ),
        ]


def _gain_cell(student: FrontierStudent, decimals: int) -> NumberCell | str:
    gain = student.gain
    if gain is None:
        return ""
    ends = interval(gain.low, gain.high, decimals)
    return NumberCell(signed(gain.value, decimals), (("interval", ends),) if ends else ())


def markdown_table(record: FrontierRecord) -> str:
    """The students in Markdown, a line for each, and what the cells show."""
    decimals = decimals_of(record)
    shown = [f"T = {t:g}" for t in record.temperatures]
    lines = [
        f"| student | frontier\\_gain | p | verdict | {' | '.join(shown)} |",
        f"|:--|--:|--:|:--|{'--:|' * len(shown)}",
    ]
    for student in record.students:
        cells = [
            student.label,
            gain_text(student.gain, decimals) if student.label != record.baseline else "",
            p_text(student.adjusted_p),
            verdict_text(student, record),
            *(
                f"{point.quality.value:.{decimals}f} at {point.entropy.value:.2f}"
                for point in student.points
            ),
        ]
        lines.append(f"| {' | '.join(map(escape_md, cells))} |")
    lines += ["", f"Cells show {escape_md(record.metric)} at the entropy in nats per token."]
    return "\n".join(lines)


def markdown_sentences(record: FrontierRecord) -> list[str]:
    """What the frontier says of each student, and its notes, in Markdown."""
    sentences = [sentence(s, record) for s in record.students if s.label != record.baseline]
    return [escape_md(text) for text in [*sentences, *notes(record)]]

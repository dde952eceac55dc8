"""The table of own, reported and spread scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.system.layout import GridLine, NumberCell, fit, wrapped
from kdbench.system.printed import PrintedTable
from kdbench.tables.side_by_side import ComparedScore, Comparisons, sentences
from kdbench.text import counted, escape_md, interval, number, printable

if TYPE_CHECKING:
    from rich.text import Text

TITLE = "own, reported and spread"
_HEADS = ("", "own", "reported", "lowest to highest", "own is")
_STORED_DECIMALS = 9  # the same on every machine


@dataclass(frozen=True, repr=False)
class SideBySide(PrintedTable):
    """Own scores next to published ones; `print` shows them as a terminal does.

    Attributes:
        found: What was compared.
    """

    found: Comparisons

    form_note: ClassVar[str] = "with spread: "  # kdbench table has more forms without it

    def records(self) -> list[dict[str, Any]]:
        """The compared scores as mappings of plain values; what is unknown is None."""
        return [_record(score) for score in self.found.scores]

    def lines(self, width: int | None) -> "list[Text]":
        """The lines on a terminal.

        Args:
            width: Columns of the terminal; None for no limit.
        """
        from rich.text import Text

        fitted = fit(list(_grid(self.found)), (0, 4), width)
        drawn = [Text(f"{self.found.title}: {TITLE}", "bold"), *fitted.lines, Text("")]
        for text in notes(self):
            drawn += map(Text, wrapped(printable(text), width, "  ", whole_words=True))
        return drawn

    def markdown(self) -> str:
        """The table in Markdown, which ends with a newline."""
        return _markdown(self)


def _record(score: ComparedScore) -> dict[str, Any]:
    return {
        "setting": score.setting,
        "row": score.row,
        "column": score.column,
        "own": _rounded(score.own.value),
        "ci_low": _rounded(score.own.ci_low),
        "ci_high": _rounded(score.own.ci_high),
        "n": score.own.n,
        "reported": score.reported and score.reported.value,
        "certainty": score.reported and _certainty(score),
        "source": score.source or None,
        "lowest": score.ends and _rounded(score.ends[0]),
        "highest": score.ends and _rounded(score.ends[1]),
        "sources": len(score.sources),
        "place": score.place,
        "reported_differs": score.differs,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _STORED_DECIMALS)


def _certainty(score: ComparedScore) -> str:
    assert score.reported is not None  # noqa: S101 - for the type checker
    if score.reported.unverified:
        return "unverified"
    return "second_hand" if score.reported.second_hand else "verified"


def notes(table: SideBySide) -> list[str]:
    """Sentences that explain the table, and say what it shows."""
    found = table.found
    text = [
        f"Own scores are {found.metric}; brackets hold their 95 % interval. Reported is the score "
        "of the published row of the same name, copied from its source.",
        "Lowest and highest are those that papers give for the method with this teacher and "
        "student, by two sources or more; numbers from memory do not count. Inside: the own score "
        "is between them. Undecided: it is not, and its interval reaches them. Below, above: the "
        "whole interval is.",
    ]
    cells = [score.reported for score in found.scores if score.reported is not None]
    if any(cell.unverified for cell in cells):
        text.append("† marks numbers recalled from a paper and not checked against it.")
    if any(cell.second_hand for cell in cells):
        text.append("‡ marks numbers read in a third party's note, not in the paper.")
    text += sentences(found)
    origins = {
        f"{score.row}: reported by {score.source}{f' ({score.note})' if score.note else ''}"
        for score in found.scores
        if score.source
    }
    rows = list(dict.fromkeys(score.row for score in found.scores))
    return [*text, *sorted(origins, key=lambda line: rows.index(line.partition(": ")[0]))]


def _grid(found: Comparisons) -> Iterator[GridLine]:
    yield list(_HEADS)
    for column in dict.fromkeys(score.column for score in found.scores):
        scores = [score for score in found.scores if score.column == column]
        yield printable(f"{column}{_prompts(scores)}")
        for score in scores:
            ends = interval(score.own.ci_low, score.own.ci_high, score.own.decimals)
            errors = (("interval", ends),) if ends else ()
            own = NumberCell(number(score.own.value, score.own.decimals), errors)  # type: ignore[arg-type]
            yield [f"  {printable(score.row)}", own, _reported(score), _range(score), score.place]


def _prompts(scores: list[ComparedScore]) -> str:
    counts = sorted({score.own.n for score in scores if score.own.n is not None})
    if not counts:
        return ""
    return f", {'–'.join(map(str, dict.fromkeys([counts[0], counts[-1]])))} prompts"


def _own(score: ComparedScore) -> str:
    ends = interval(score.own.ci_low, score.own.ci_high, score.own.decimals)
    return f"{number(score.own.value, score.own.decimals)} {ends}".rstrip()


def _reported(score: ComparedScore) -> str:
    cell = score.reported
    return "" if cell is None else f"{number(cell.value, cell.decimals)} {cell.mark}".rstrip()


def _range(score: ComparedScore) -> str:
    if score.ends is None:
        return ""
    low, high = score.ends
    return f"{low:.2f}–{high:.2f}, {counted(len(score.sources), 'source')}"


def _markdown(table: SideBySide) -> str:
    text = [
        f"**{escape_md(table.found.title)}: {TITLE}**",
        "",
        f"| set | row | {' | '.join(_HEADS[1:])} |",
        "|:--|:--|--:|--:|:--|:--|",
    ]
    for score in table.found.scores:
        cells = [score.column, score.row, _own(score), _reported(score), _range(score), score.place]
        text.append(f"| {' | '.join(map(escape_md, cells))} |")
    text += ["", *(f"- {escape_md(note)}" for note in notes(table))]
    return "\n".join(text) + "\n"

"""The table of mechanisms."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, get_args

from kdbench.filling.mechanisms import MechanismRow, MechanismVerdict, compared_rows
from kdbench.filling.rows import SpecRow
from kdbench.filling.spec import TableSpec
from kdbench.store.runs import StoredRun
from kdbench.system.layout import GridLine, NumberCell, fit, wrapped
from kdbench.system.printed import PrintedTable
from kdbench.text import counted, escape_md, interval, printable, signed

if TYPE_CHECKING:
    from rich.text import Text

_ARROWS = {"up": "↑", "down": "↓"}
_MOST_DECIMALS = 6
_STORED_DECIMALS = 9  # the same on every machine
_VALUES = (3, 4)  # columns that a narrow terminal leaves out
_WAY = "a wider terminal, a pipe, or kdbench mechanisms TABLE format=md"


@dataclass(frozen=True, repr=False)
class MechanismTable(PrintedTable):
    """Which methods moved what their ideas should move; `print` shows it as a terminal does.

    Attributes:
        title: Title of the table of results.
        rows: Its rows, in order.
    """

    title: str
    rows: tuple[MechanismRow, ...]

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings of plain values; what is unknown is None."""
        return [_record(row) for row in self.rows]

    def lines(self, width: int | None) -> "list[Text]":
        """The lines on a terminal.

        Args:
            width: Columns of the terminal; None for no limit.
        """
        from rich.text import Text

        fitted = fit(list(_grid(self.rows)), (0, 1, 2, 4), width, spare=_VALUES)
        lines = [Text(f"{self.title}: mechanisms", "bold"), *fitted.lines, Text("")]
        hidden = [] if "compared with" in fitted.lines[0].plain else ["the compared values"]
        hidden += ["95 % intervals"] * bool(fitted.dropped)
        missing = [f"no room for {' and '.join(hidden)}: see them with {_WAY}"] if hidden else []
        for text in [*missing, *notes(self)]:
            lines += map(Text, wrapped(printable(text), width, "  ", whole_words=True))
        return lines

    def markdown(self) -> str:
        """The table in Markdown, which ends with a newline."""
        return _markdown(self)


def mechanism_table(
    spec: TableSpec, rows: Sequence[SpecRow], runs: Sequence[StoredRun]
) -> MechanismTable:
    """The table of a table's rows with `against`.

    Args:
        spec: Specification of the table.
        rows: Its rows.
        runs: Its runs, each of one training.
    """
    return MechanismTable(spec.title, tuple(compared_rows(spec, rows, runs)))


def _record(row: MechanismRow) -> dict[str, Any]:
    return {
        "row": row.label,
        "family": row.family,
        "against": row.against,
        "measure": row.mechanism and row.mechanism.measure,
        "direction": row.mechanism and row.mechanism.direction,
        "idea": row.mechanism and row.mechanism.idea,
        "value": _rounded(row.value),
        "value_of_other": _rounded(row.other),
        "difference": _rounded(row.difference),
        "ci_low": _rounded(row.low),
        "ci_high": _rounded(row.high),
        "training_seeds": list(row.seeds),
        "values": [_rounded(value) for value in row.values],
        "values_of_other": [_rounded(value) for value in row.others],
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _STORED_DECIMALS) + 0.0


def notes(table: MechanismTable) -> list[str]:
    """Sentences that explain the table, and sum it up."""
    found = Counter(row.verdict for row in table.rows)
    tests = sum(found[verdict] for verdict in get_args(MechanismVerdict)[:3])
    counts = [
        f"{found[verdict]} {verdict}" for verdict in get_args(MechanismVerdict) if found[verdict]
    ]
    seeds = sorted({len(row.seeds) for row in table.rows if row.seeds})
    lines = [f"{counted(len(table.rows), 'row')}: {', '.join(counts)}."]
    if tests:
        how_many = "–".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
        lines.append(
            f"Values are means over {how_many} training seeds. A difference is paired by training "
            "seed; brackets hold its 95 % interval (paired t). The arrow shows where the idea of "
            "the method predicts that the measure moves, and it has moved if the interval excludes "
            f"0. With {counted(tests, 'comparison')} at the 5 % level, expect about "
            f"{tests / 20:.2g} that move by chance."
        )
    lines += [f"{row.label}: not measured: {row.reason}." for row in table.rows if row.reason]
    return lines


def _grid(rows: Sequence[MechanismRow]) -> Iterator[GridLine]:
    yield ["", "verdict", "measure", "value", "compared with", "difference"]
    family = None
    for row in rows:
        if row.family != family:
            family = row.family
            yield printable(row.family)
        yield [
            f"  {printable(row.label)}",
            row.verdict,
            printable(_measure(row)),
            _value(row.value, row),
            printable(f"{row.against} {_value(row.other, row)}".rstrip()),
            _difference(row),
        ]


def _measure(row: MechanismRow) -> str:
    mechanism = row.mechanism
    return "" if mechanism is None else f"{mechanism.measure} {_ARROWS[mechanism.direction]}"


def _value(value: float | None, row: MechanismRow) -> str:
    return "" if value is None else f"{value:.{_decimals(row)}f}"


def _difference(row: MechanismRow) -> NumberCell | str:
    if row.difference is None:
        return ""
    decimals = _decimals(row)
    ends = interval(row.low, row.high, decimals)
    return NumberCell(signed(row.difference, decimals), (("interval", ends),))


def _decimals(row: MechanismRow) -> int:
    """As many decimals as show two digits of half the interval, and on which side of 0 it lies."""
    if row.low is None or row.high is None or row.high <= row.low:
        return row.decimals
    decimals = max(1 - floor(log10((row.high - row.low) / 2)), row.decimals)
    if row.low * row.high > 0:
        decimals = max(decimals, ceil(-log10(min(abs(row.low), abs(row.high)))))
    return min(decimals, _MOST_DECIMALS)


def _markdown(table: MechanismTable) -> str:
    lines = [
        f"**{escape_md(table.title)}: mechanisms**",
        "",
        "| method | family | measure | value | compared with | its value | difference | verdict "
        "| idea |",
        "|:--|:--|:--|--:|:--|--:|--:|:--|:--|",
    ]
    for row in table.rows:
        difference = _difference(row)
        cells = [
            row.label,
            row.family,
            _measure(row),
            _value(row.value, row),
            row.against,
            _value(row.other, row),
            difference.without(()) if isinstance(difference, NumberCell) else difference,
            row.verdict,
            "" if row.mechanism is None else row.mechanism.idea,
        ]
        lines.append(f"| {' | '.join(map(escape_md, cells))} |")
    lines += ["", *(escape_md(note) + "  " for note in notes(table))]
    return "\n".join(line.rstrip() if "|" in line else line for line in lines).rstrip() + "\n"

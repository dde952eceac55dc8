"""A comparison as text for the terminal."""

from collections.abc import Iterator

from rich.text import Text

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.case import CaseLine, case_lines, marked
from kdbench.comparing.outputs.phrases import (
    cells,
    header,
    largest_losses,
    loss_line,
    method_lines,
    undecided_lines,
)
from kdbench.comparing.verdict import Verdict
from kdbench.system.layout import fit
from kdbench.text import printable

_SHOWN_LOSSES = 3
_TEXT_LENGTH = 200  # characters
STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "worse": "yellow",
    "inconclusive": "magenta",
    "unchanged": "green",
    "improved": "bold green",
}
_CHANGES = {"gone": "red strike", "new": "green underline"}


def terminal(comparison: Comparison, width: int | None = None) -> str:
    """Plain text that ends with a newline; changed words of responses stand in marks.

    Args:
        comparison: Comparison to write.
        width: Columns of the terminal, for the table; None for no limit.
    """
    return "".join(f"{line.plain}\n" for line in _lines(comparison, width, in_colour=False))


def coloured(comparison: Comparison, width: int | None = None) -> Text:
    """The same text with coloured verdicts, and with changed words coloured instead of marked."""
    text = Text()
    for line in _lines(comparison, width, in_colour=True):
        text.append_text(line).append("\n")
    for verdict, style in STYLES.items():
        text.highlight_regex(rf"(?<=  ){verdict}(?=\n)", style)
    text.highlight_regex(r"(?m)^PASS(?=:)", "bold green")
    text.highlight_regex(r"(?m)^NOT DECIDED(?= \(passes\):)", "bold magenta")
    text.highlight_regex(r"(?m)^(FAIL|NO VERDICT)(?=:)", "bold red")
    return text


def _lines(comparison: Comparison, width: int | None, in_colour: bool) -> Iterator[Text]:
    yield _line(f"{comparison.new} against {comparison.base}")
    if comparison.rows:
        titles = header(comparison)
        left = (titles.index("task"), titles.index("metric"), titles.index("verdict"))
        rows = [[printable(cell) for cell in row] for row in map(cells, comparison.rows)]
        table = fit([titles, *rows], left, width and width - 2, fixed=2).lines
        yield _line("")
        yield from (_line(f"  {line.plain}") for line in table)
        yield _line("")
        yield from map(_line, method_lines(comparison))
    yield from _losses(comparison, in_colour)
    yield from map(_line, undecided_lines(comparison))
    yield from (_line(f"note: {note}") for note in comparison.notes)
    yield from (_line(f"problem: {problem.text}") for problem in comparison.problems)
    yield _line(str(comparison.decision))


def _line(text: str) -> Text:
    return Text(printable(text))


def _losses(comparison: Comparison, in_colour: bool) -> Iterator[Text]:
    """The largest losses: in one line, or each with its case."""
    losses = largest_losses(comparison.rows, _SHOWN_LOSSES)
    cases = [case_lines(*loss, _TEXT_LENGTH) for loss in losses]
    if not any(cases):
        if losses:
            yield _line("largest losses: " + "; ".join(loss_line(*loss) for loss in losses))
        return
    yield _line("largest losses:" if in_colour else "largest losses, [-gone-] and {+new+}:")
    for loss, lines in zip(losses, cases, strict=True):
        yield _line(f"  {loss_line(*loss)}")
        for line in lines:
            yield _coloured_line(line) if in_colour else _line(f"    {line.text(marked)}")


def _coloured_line(line: CaseLine) -> Text:
    text = Text(f"    {printable(line.title)}: ")
    for span in line.spans:
        # A space at the end of a span belongs to the line.
        text.append(printable(f"{span.text}|")[:-1], _CHANGES.get(span.kind, ""))
    return text

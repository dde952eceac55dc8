"""A comparison as text for the terminal."""

from rich.text import Text

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.phrases import (
    cells,
    evidence_lines,
    header,
    largest_losses,
    loss_line,
    method_lines,
)
from kdbench.comparing.verdict import Verdict
from kdbench.system.layout import fit
from kdbench.text import printable

_SHOWN_LOSSES = 3
_TEXT_LENGTH = 160  # characters
STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "worse": "yellow",
    "inconclusive": "magenta",
    "unchanged": "green",
    "improved": "bold green",
}


def terminal(comparison: Comparison, width: int | None = None) -> str:
    """Plain text that ends with a newline.

    Args:
        comparison: Comparison to write.
        width: Columns of the terminal, for the table; None for no limit.
    """
    lines = [f"{comparison.new} against {comparison.base}"]
    if comparison.rows:
        titles = header(comparison)
        left = (titles.index("task"), titles.index("metric"), titles.index("verdict"))
        rows = [[printable(cell) for cell in row] for row in map(cells, comparison.rows)]
        table = fit([titles, *rows], left, width and width - 2, fixed=2).lines
        lines += ["", *(f"  {line.plain}" for line in table), "", *method_lines(comparison)]
    if losses := largest_losses(comparison.rows, _SHOWN_LOSSES):
        lines.append("largest losses: " + "; ".join(loss_line(*loss) for loss in losses))
        for row, prompt in losses:
            evidence = evidence_lines(row, prompt, _TEXT_LENGTH)
            lines += [f"  {row.name} {prompt.id}:"] * bool(evidence)
            lines += [f"    {title}: {text}" for title, text in evidence]
    lines += [f"note: {note}" for note in comparison.notes]
    lines += [f"problem: {problem.text}" for problem in comparison.problems]
    lines.append(str(comparison.decision))
    return "".join(f"{printable(line)}\n" for line in lines)


def coloured(comparison: Comparison, width: int | None = None) -> Text:
    """The same text with coloured verdicts."""
    text = Text(terminal(comparison, width))
    for verdict, style in STYLES.items():
        text.highlight_regex(rf"(?<=  ){verdict}(?=\n)", style)
    text.highlight_regex(r"(?m)^PASS(?=:)", "bold green")
    text.highlight_regex(r"(?m)^(FAIL|NO VERDICT)(?=:)", "bold red")
    return text

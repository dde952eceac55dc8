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
from kdbench.text import aligned, printable

_SHOWN_LOSSES = 3
_TEXT_LENGTH = 160  # characters
STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "worse": "yellow",
    "inconclusive": "magenta",
    "unchanged": "green",
    "improved": "bold green",
}


def terminal(comparison: Comparison) -> str:
    """Plain text that ends with a newline."""
    lines = [f"{comparison.new} against {comparison.base}"]
    if comparison.rows:
        titles = header(comparison)
        left = (titles.index("task"), titles.index("metric"), titles.index("verdict"))
        table = aligned([titles, *map(cells, comparison.rows)], left)
        lines += ["", *(f"  {line}" for line in table), "", *method_lines(comparison)]
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


def coloured(comparison: Comparison) -> Text:
    """The same text with coloured verdicts."""
    text = Text(terminal(comparison))
    for verdict, style in STYLES.items():
        text.highlight_regex(rf"(?<=  ){verdict}(?=\n)", style)
    text.highlight_regex(r"(?m)^PASS(?=:)", "bold green")
    text.highlight_regex(r"(?m)^(FAIL|NO VERDICT)(?=:)", "bold red")
    return text

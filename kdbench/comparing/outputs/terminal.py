"""A comparison on the terminal."""

from rich.cells import cell_len
from rich.text import Text

from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.words import cells, explained, header, said_loss, worst
from kdbench.comparing.verdict import Verdict
from kdbench.text import printable

_LEFT = 2  # columns of words at the left
_SHOWN = 3  # worst prompts
STYLES: dict[Verdict, str] = {
    "regressed": "bold red",
    "worse": "yellow",
    "inconclusive": "magenta",
    "unchanged": "green",
    "improved": "bold green",
}


def terminal(comparison: Comparison) -> str:
    """Plain text; ends with a newline."""
    lines = [f"{comparison.new} against {comparison.base}"]
    if comparison.rows:
        lines += ["", *_aligned([header(comparison), *map(cells, comparison.rows)]), ""]
        lines += explained(comparison)
    if lost := worst(comparison.rows, _SHOWN):
        lines.append("lost most: " + "; ".join(said_loss(*one) for one in lost))
    lines += [f"note: {note}" for note in comparison.notes]
    lines += [f"problem: {problem.text}" for problem in comparison.problems]
    lines.append(str(comparison.decision))
    return "".join(f"{printable(line)}\n" for line in lines)


def coloured(comparison: Comparison) -> Text:
    """The same with its verdicts coloured."""
    text = Text(terminal(comparison))
    for word, style in STYLES.items():
        text.highlight_regex(rf"(?<=  ){word}(?=\n)", style)
    text.highlight_regex(r"(?m)^PASS(?=:)", "bold green")
    text.highlight_regex(r"(?m)^(FAIL|NO VERDICT)(?=:)", "bold red")
    return text


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = []
        for place, (word, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(word))
            left = place < _LEFT or place == len(row) - 1
            padded.append(word + space if left else space + word)
        lines.append("  " + "  ".join(padded).rstrip())
    return lines

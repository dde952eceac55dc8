"""Write what the stored tables say into docs/which-method.md: `python docs/claims.py`.

With `--check` it only says whether the page is stale, and exits with 1 if it is.

docs/which-method.yaml has the page's sentences and, for each, the rows that it rests on:

    tables: {toy: {stored: results/toy-all, tasks: [dolly, vicuna]}}
    sections:
      fidelity:
        - says: MiniLLM makes the student more like its teacher than SFT does.
          rows: [toy: MiniLLM better than SFT in acceptance@student]

A row is compared as `kdbench compare` compares it, with Holm's correction over all rows of the
page, and must come out as it is written: `better than`, `worse than` or `not told apart from`. A
sentence may also rest on a line of a stored answer:

          rows: [{answer: results/analyses/toy-all/budget.json, line: KD, column: over SFT's}]

or on what a stored frontier says of a student, whose verdict must be the written one:

          rows: [{frontier: results/toy-guided, student: Trained, verdict: not told apart}]

Between `<!-- kdbench:begin claims fidelity -->` and `<!-- kdbench:end claims -->` the page holds
the sentences of a section, each with its rows.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kdbench.comparing.compare import compare
from kdbench.comparing.model import ComparedRow
from kdbench.comparing.settings import CompareSettings
from kdbench.frontiers.words import sentence, verdict_text
from kdbench.reports.conclusions import quantity_texts
from kdbench.stats.paired import holm
from kdbench.store.conclusions import Quantity, read_conclusion
from kdbench.store.frontiers import read_frontier
from kdbench.text import AVERAGE, escape_md

ROOT = Path(__file__).parents[1]
PAGE, CLAIMS = ROOT / "docs/which-method.md", ROOT / "docs/which-method.yaml"
BLOCK = re.compile(
    r"(?P<begin><!-- kdbench:begin claims (?P<section>\S+) -->\n).*?"
    r"(?P<end><!-- kdbench:end claims -->)",
    re.DOTALL,
)
ROW = re.compile(
    r"(?P<new>.+) (?P<verdict>better than|worse than|not told apart from) (?P<base>.+) "
    r"in (?P<metric>\S+)"
)
ALPHA = 0.05


class NotSoError(Exception):
    """The stored rows do not say what the page says."""


@dataclass(frozen=True)
class Comparison:
    """A row of a table against another one, and what the page says of them."""

    table: str
    stored: str
    tasks: tuple[str, ...]
    new: str
    base: str
    metric: str
    verdict: str

    @classmethod
    def read(cls, table: str, text: str, tables: Mapping[str, Mapping[str, Any]]) -> "Comparison":
        """Read `MiniLLM better than SFT in rougeL`."""
        found = ROW.fullmatch(text)
        if found is None or table not in tables:
            raise NotSoError(f"{CLAIMS.name}: cannot read the row '{table}: {text}'")
        of_table = tables[table]
        return cls(table, of_table["stored"], tuple(of_table.get("tasks", ())), **found.groupdict())

    def compared(self) -> ComparedRow:
        """The comparison of the two rows, over all tasks."""
        return compared(self.stored, self.tasks, self.new, self.base, self.metric)


@cache
def compared(stored: str, tasks: tuple[str, ...], new: str, base: str, metric: str) -> ComparedRow:
    """Compare two rows of a stored table.

    Raises:
        NotSoError: The two cannot be compared.
    """
    settings = CompareSettings(
        base=base, new=new, results=ROOT / stored, tasks=list(tasks), tolerance=f"{metric}:0"
    )
    comparison = compare(settings)
    if not comparison.rows:
        raise NotSoError(f"{stored}: {new} and {base}: {comparison.problems[0].text}")
    return next((row for row in comparison.rows if row.task == AVERAGE), comparison.rows[-1])


def verdict(row: ComparedRow, p: float) -> str:
    """What a comparison says, given its corrected p-value."""
    if p > ALPHA:
        return "not told apart from"
    return "better than" if (row.change > 0) == (row.direction == "higher") else "worse than"


def comparisons(claims: Mapping[str, Any]) -> list[Comparison]:
    """All comparisons that the page's sentences rest on, each once."""
    return list(
        dict.fromkeys(
            Comparison.read(table, text, claims["tables"])
            for section in claims["sections"].values()
            for claim in section
            for row in claim["rows"]
            if not {"answer", "frontier"} & row.keys()
            for table, text in row.items()
        )
    )


def compared_lines(claims: Mapping[str, Any]) -> dict[Comparison, str]:
    """The line of each comparison.

    Raises:
        NotSoError: A comparison does not come out as the page says.
    """
    asked = comparisons(claims)
    rows = [comparison.compared() for comparison in asked]
    lines = {}
    for comparison, row, p in zip(asked, rows, holm([row.p for row in rows]), strict=True):
        if (found := verdict(row, p)) != comparison.verdict:
            raise NotSoError(
                f"{CLAIMS.name}: {comparison.table}: {comparison.new} is {found} {comparison.base} "
                f"in {comparison.metric} (p {p:.3f}), not {comparison.verdict} it"
            )
        decimals = 2 if row.unit == "points" else 3
        interval = "" if row.low is None else f" [{row.low:.{decimals}f}, {row.high:.{decimals}f}]"
        shown = "< 0.001" if p < 0.001 else f"{p:.3f}"
        lines[comparison] = (
            f"{comparison.table}: {comparison.new} against {comparison.base}, {comparison.metric} "
            f"{row.change:+.{decimals}f}{interval}, p {shown}"
        )
    return lines


def answer_line(answer: str, line: str, column: str, table: str | None = None) -> str:
    """A cell of a stored answer: `budget of toy-all: KD, over SFT's: 1.76`.

    Raises:
        NotSoError: The answer has no such cell.
    """
    conclusion = read_conclusion(ROOT / answer)
    for found in conclusion.tables:
        titles = [each.title for each in found.columns]
        if column not in titles or table not in (None, found.title):
            continue
        place = titles.index(column)
        for row in found.rows:
            if row[0] == line:
                cell, source = row[place], f"{Path(answer).stem} of {Path(answer).parent.name}"
                if isinstance(cell, Quantity):
                    unit = found.columns[place].unit
                    text = " ".join(filter(None, quantity_texts(cell, found.columns[place])))
                    text += f" ({unit})" if unit else ""
                else:
                    text = cell or "none"
                return f"{source}: {line}, {column}: {text}"
    raise NotSoError(f"{answer}: no line '{line}' with a column '{column}'")


def frontier_line(frontier: str, student: str, verdict: str) -> str:
    """What a stored frontier says of a student.

    Raises:
        NotSoError: There is no such student, or its verdict is another one.
    """
    record = read_frontier(ROOT / frontier)
    found = None if record is None else {s.label: s for s in record.students}.get(student)
    if record is None or found is None:
        raise NotSoError(f"{frontier}: no frontier with a student '{student}'")
    if (said := verdict_text(found, record)) != verdict:
        raise NotSoError(f"{frontier}: {student} is '{said}', not '{verdict}'")
    return f"frontier of {Path(frontier).name}: {sentence(found, record)}"


def section_text(claims: Mapping[str, Any], name: str, lines: Mapping[Comparison, str]) -> str:
    """The sentences of a section, each with its rows."""

    def row_lines(row: Mapping[str, Any]) -> Iterator[str]:
        if "answer" in row:
            yield answer_line(**row)
            return
        if "frontier" in row:
            yield frontier_line(**row)
            return
        for table, text in row.items():
            yield lines[Comparison.read(table, text, claims["tables"])]

    text = "\n"
    for claim in claims["sections"][name]:
        text += f"- {claim['says']}\n"
        for row in claim["rows"]:
            text += "".join(f"    - {escape_md(line)}\n" for line in row_lines(row))
    return text + "\n"


def with_claims(page: str, claims: Mapping[str, Any]) -> str:
    """The text of the page with its sentences and their rows.

    Raises:
        NotSoError: The stored rows do not bear a sentence out, or a section is not on the page.
    """
    lines = compared_lines(claims)
    shown = [found["section"] for found in BLOCK.finditer(page)]
    if missing := claims["sections"].keys() ^ set(shown):
        raise NotSoError(f"{PAGE.name} and {CLAIMS.name} differ in sections: {', '.join(missing)}")
    return BLOCK.sub(
        lambda found: found["begin"] + section_text(claims, found["section"], lines) + found["end"],
        page,
    )


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is stale."""
    old = PAGE.read_text("utf-8")
    try:
        new = with_claims(old, yaml.safe_load(CLAIMS.read_text("utf-8")))
    except NotSoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if old == new:
        return 0
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
    if "--check" in arguments:
        return 1
    PAGE.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

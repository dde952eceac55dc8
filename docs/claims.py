"""Write what the stored tables say into docs/which-method.md: `python docs/claims.py`.

With `--check` it only says whether the page is stale, and exits with 1 if it is.

docs/which-method.yaml has the page's sentences and, for each, the rows that it rests on:

    tables:
      toy: {stored: results/toy-all, tasks: [dolly, vicuna], rows: [SFT, KD, MiniLLM]}
    sections:
      fidelity:
        - says: MiniLLM makes the student more like its teacher than SFT does.
          rows: [toy: MiniLLM better than SFT in acceptance@student]

Two rows are compared as `kdbench compare` compares them, and must come out as it is written:
`better than`, `worse than` or `not told apart from`. Nobody asked about this pair alone before the
results were known, so its p-value has Holm's correction over all `rows` of the table, each compared
with the same row by the same metric. `all but A, B worse than ABKD in rougeL` speaks of all others.
A sentence may also rest on a cell of a stored answer,

          rows: [{answer: results/analyses/toy-all/budget.json, line: 2x, column: pick, is: KD}]

or on what a stored frontier says of a student, which both must be what is written:

          rows: [{frontier: results/toy-guided, student: Trained, is: not told apart}]

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

from kdbench.comparing.compare import compare_with_settings, select_tasks
from kdbench.comparing.find import find_run
from kdbench.comparing.model import ComparedRow
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.settings import GATES, GateSettings
from kdbench.errors import InputError
from kdbench.frontiers.words import sentence, verdict_text
from kdbench.reports.conclusions import quantity_texts
from kdbench.stats.paired import holm
from kdbench.store.conclusions import ConclusionTable, Quantity, read_conclusion
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
ALL_BUT, APART = "all but ", "not told apart from"
ALPHA = 0.05


@dataclass(frozen=True)
class ClaimTable:
    """A filled table: where its results are, and which of its rows and tasks count."""

    name: str
    stored: str
    tasks: tuple[str, ...]
    rows: tuple[str, ...]

    def run(self, row: str) -> ComparedRun:
        """The scores of a row, over all its training seeds."""
        return stored_run(self.stored, self.tasks, row)


@cache
def stored_run(stored: str, tasks: tuple[str, ...], row: str) -> ComparedRun:
    """The scores of a row of a table."""
    return select_tasks(find_run(row, "new", ROOT / stored, GATES, tasks), tasks)


@cache
def compared(table: ClaimTable, new: str, base: str, metric: str) -> ComparedRow:
    """Compare two rows of a table, over all its tasks.

    Raises:
        InputError: The two cannot be compared.
    """
    settings = GateSettings(tolerance=f"{metric}:0")
    comparison = compare_with_settings(settings, table.run(base), table.run(new))
    if not comparison.rows:
        raise InputError(f"{table.stored}: {new} and {base}: {comparison.problems[0].text}")
    return next((row for row in comparison.rows if row.task == AVERAGE), comparison.rows[-1])


@cache
def corrected(table: ClaimTable, base: str, metric: str) -> Mapping[str, float]:
    """P-values of all rows of a table against one of them, with Holm's correction."""
    others = [row for row in table.rows if row != base]
    p_values = holm([compared(table, row, base, metric).p for row in others])
    return dict(zip(others, p_values, strict=True))


def verdict(row: ComparedRow, p: float) -> str:
    """What a comparison says, given its corrected p-value."""
    if p > ALPHA:
        return APART
    return "better than" if (row.change > 0) == (row.direction == "higher") else "worse than"


def compared_line(table: ClaimTable, text: str) -> str:
    """The line of a comparison, `MiniLLM better than SFT in rougeL`.

    Raises:
        InputError: It cannot be read, or does not come out as it is written.
    """
    found = ROW.fullmatch(text)
    if found is None:
        raise InputError(f"{CLAIMS.name}: cannot read the row '{table.name}: {text}'")
    new, said, base, metric = found.group("new", "verdict", "base", "metric")
    p_values = corrected(table, base, metric)
    named = new.removeprefix(ALL_BUT).split(", ")
    chosen = [row for row in p_values if row not in named] if new.startswith(ALL_BUT) else [new]
    rows = [compared(table, row, base, metric) for row in chosen]
    for label, row in zip(chosen, rows, strict=True):
        if (seen := verdict(row, p_values[label])) != said:
            raise InputError(
                f"{CLAIMS.name}: {table.name}: {label} is {seen} {base} in {metric} "
                f"(p {p_values[label]:.3f}), not {said} it"
            )
    found_p = [p_values[label] for label in chosen]
    if not new.startswith(ALL_BUT):
        change, p = _change(rows[0]), _p_text(found_p[0])
        return f"{table.name}: {new} against {base}, {metric} {change}, p {p}"
    bound = f"≥ {_p_text(min(found_p))}" if said == APART else f"≤ {_p_text(max(found_p))}"
    ends = (end(row.change for row in rows) for end in (min, max))
    low, high = (f"{change:+.{_decimals(rows[0])}f}" for change in ends)
    return f"{table.name}: {new} ({len(rows)}) against {base}, {metric} {low} to {high}, p {bound}"


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _decimals(row: ComparedRow) -> int:
    return 2 if row.unit == "points" else 3


def _change(row: ComparedRow) -> str:
    decimals = _decimals(row)
    interval = "" if row.low is None else f" [{row.low:.{decimals}f}, {row.high:.{decimals}f}]"
    return f"{row.change:+.{decimals}f}{interval}"


def answer_line(answer: str, line: str, column: str, **chosen: str) -> str:
    """A cell of a stored answer: `budget of toy-all: KD, over SFT's: 2.24`.

    Args:
        answer: File of the answer.
        line: First cell of its line.
        column: Title of its column.
        chosen: `is`, what the cell must show, without its interval; `table`, the title of its table
            where several have such a line and column.

    Raises:
        InputError: There is no such cell, or several, or it shows something else.
    """
    conclusion = read_conclusion(ROOT / answer)
    cells = [
        (found, found.columns[place], row[place])
        for found in conclusion.tables
        for place in _places(found, column)
        for row in found.rows
        if row[0] == line and chosen.get("table") in (None, found.title)
    ]
    if len(cells) != 1:
        titles = ", ".join(found.title for found, _, _ in cells) or "no table"
        raise InputError(f"{answer}: line '{line}', column '{column}': in {titles}")
    ((_, title, cell),) = cells
    parts = quantity_texts(cell, title) if isinstance(cell, Quantity) else (cell or "",)
    if parts[0] != chosen["is"]:
        raise InputError(f"{answer}: {line}, {column} is '{parts[0]}', not '{chosen['is']}'")
    unit = f" ({title.unit})" if title.unit else ""
    of = f"{Path(answer).stem} of {Path(answer).parent.name}"
    return f"{of}: {line}, {column}: {' '.join(filter(None, parts))}{unit}"


def _places(table: ConclusionTable, column: str) -> Iterator[int]:
    titles = [found.title for found in table.columns]
    return (place for place, title in enumerate(titles) if title == column)


def frontier_line(frontier: str, student: str, **chosen: str) -> str:
    """What a stored frontier says of a student, whose verdict must be `is`.

    Raises:
        InputError: There is no such student, or its verdict is another one.
    """
    record = read_frontier(ROOT / frontier)
    found = None if record is None else {s.label: s for s in record.students}.get(student)
    if record is None or found is None:
        raise InputError(f"{frontier}: no frontier with a student '{student}'")
    if (said := verdict_text(found, record)) != chosen["is"]:
        raise InputError(f"{frontier}: {student} is '{said}', not '{chosen['is']}'")
    return f"frontier of {Path(frontier).name}: {sentence(found, record)}"


def row_line(row: Mapping[str, str], tables: Mapping[str, ClaimTable]) -> str:
    """The line of what a sentence rests on."""
    if "answer" in row:
        return answer_line(**row)
    if "frontier" in row:
        return frontier_line(**row)
    ((table, text),) = row.items()
    if table not in tables:
        raise InputError(f"{CLAIMS.name}: cannot read the row '{table}: {text}'")
    return compared_line(tables[table], text)


def section_text(claims: Mapping[str, Any], name: str) -> str:
    """The sentences of a section, each with its rows."""
    tables = {
        key: ClaimTable(key, values["stored"], tuple(values["tasks"]), tuple(values["rows"]))
        for key, values in claims["tables"].items()
    }
    text = "\n"
    for claim in claims["sections"][name]:
        lines = [escape_md(row_line(row, tables)) for row in claim["rows"]]
        text += "".join([f"- {claim['says']}\n", *(f"    - {line}\n" for line in lines)])
    return text + "\n"


def with_claims(page: str, claims: Mapping[str, Any]) -> str:
    """The text of the page with its sentences and their rows.

    Raises:
        InputError: The stored rows do not bear a sentence out, or a section is not on the page.
    """
    shown = [found["section"] for found in BLOCK.finditer(page)]
    if missing := claims["sections"].keys() ^ set(shown):
        raise InputError(f"{PAGE.name} and {CLAIMS.name} differ in sections: {', '.join(missing)}")
    return BLOCK.sub(
        lambda found: found["begin"] + section_text(claims, found["section"]) + found["end"], page
    )


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is stale."""
    old = PAGE.read_text("utf-8")
    try:
        new = with_claims(old, yaml.safe_load(CLAIMS.read_text("utf-8")))
    except InputError as error:
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

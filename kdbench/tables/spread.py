"""How far papers disagree on one method of one teacher and student.

The range is what a reader finds under a method's name: code, corpora, starts and sometimes variants
of the method differ, so it is not the noise of one protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.tables.published import Published, PublishedRow, read_published
from kdbench.task import TITLES
from kdbench.text import escape_md


@dataclass(frozen=True)
class ScoreSpread:
    """The scores that different sources give for one method on one task.

    Attributes:
        setting: Title of the teacher and the student.
        setting_id: Short name of the setting.
        method: Name of the method.
        column: Task.
        scores: What each row gives, in points.
        sources: Titles of the sources, in the order of the file.
    """

    setting: str
    setting_id: str
    method: str
    column: str
    scores: tuple[float, ...]
    sources: tuple[str, ...]

    @property
    def low(self) -> float:
        """The lowest score."""
        return min(self.scores)

    @property
    def high(self) -> float:
        """The highest score."""
        return max(self.scores)

    @property
    def range(self) -> float:
        """Highest less lowest score, in points."""
        return self.high - self.low


def spreads(path: Path | None = None, least_sources: int = 2) -> list[ScoreSpread]:
    """The spread of every method that several sources report for one teacher and student.

    Numbers recalled from memory do not count.

    Args:
        path: YAML file of published numbers; None for the bundled one.
        least_sources: Smallest number of sources of a method on a task.

    Raises:
        InputError: The file is not one of published numbers.
    """
    published = read_published(path)
    found = []
    for setting in published.settings:
        for method in dict.fromkeys(row.name for row in setting.rows if row.role != "composite"):
            rows = [row for row in setting.rows if row.name == method]
            for column in published.columns:
                cells = [row for row in rows if counts(row, column)]
                sources = distinct_sources(published, cells)
                if len(sources) >= least_sources:
                    scores = tuple(row.values[column] for row in cells)
                    found.append(
                        ScoreSpread(setting.title, setting.id, method, column, scores, sources)
                    )
    return found


def counts(row: PublishedRow, column: str) -> bool:
    """Whether a row reports a score that counts: one that is not from memory."""
    return column in row.values and row.certainty_of(column) != "unverified"


def distinct_sources(published: Published, rows: Sequence[PublishedRow]) -> tuple[str, ...]:
    """The titles of the sources, of which several revisions of one address count once."""
    sources = [published.sources[row.source] for row in rows]
    return tuple({source.url or source.title: source.title for source in sources}.values())


@dataclass(frozen=True)
class MethodSpread:
    """How far papers disagree on one method of one teacher and student.

    Attributes:
        setting: Title of the teacher and the student.
        setting_id: Short name of the setting.
        method: Name of the method.
        by_column: The spread on each task that several sources report.
    """

    setting: str
    setting_id: str
    method: str
    by_column: Mapping[str, ScoreSpread]

    @property
    def sources(self) -> int:
        """The number of sources of the task that most report."""
        return max(len(spread.sources) for spread in self.by_column.values())


def method_spreads(path: Path | None = None, least_sources: int = 2) -> list[MethodSpread]:
    """The spreads of every method, a row for each teacher and student.

    Args:
        path: As for `spreads`.
        least_sources: Likewise.

    Raises:
        InputError: As for `spreads`.
    """
    rows: dict[tuple[str, str, str], dict[str, ScoreSpread]] = {}
    for spread in spreads(path, least_sources):
        key = (spread.setting, spread.setting_id, spread.method)
        rows.setdefault(key, {})[spread.column] = spread
    return [MethodSpread(*key, by_column) for key, by_column in rows.items()]


def spread_text(spread: ScoreSpread | None) -> str:
    """A range and its width: `19.43–26.05 (6.62)`; one score alone, and empty for none."""
    if spread is None or len(spread.scores) == 1:
        return "" if spread is None else f"{spread.low:.2f}"
    return f"{spread.low:.2f}–{spread.high:.2f} ({spread.range:.2f})"


def spread_markdown(path: Path | None = None, least_sources: int = 2) -> str:
    """The spreads as a Markdown table, a row for each method; it ends with a newline.

    Args:
        path: As for `spreads`.
        least_sources: Likewise.
    """
    tasks = read_published(path).columns
    titles = ["teacher → student", "method", "sources", *(TITLES.get(task, task) for task in tasks)]
    rows = [
        [
            row.setting,
            row.method,
            str(row.sources),
            *(spread_text(row.by_column.get(task)) for task in tasks),
        ]
        for row in method_spreads(path, least_sources)
    ]
    rule = [":--", ":--", "--:", *("--:" for _ in tasks)]
    lines = [[escape_md(title) for title in titles], rule]
    lines += [[escape_md(text) for text in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

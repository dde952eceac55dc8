"""Own scores next to those that are reported of the same method, and the range of all sources.

A row of a table is compared with the published row of its name, and with the lowest and the highest
score that papers give for the method with the same teacher and student. The interval is that of the
own score over its prompts; what a paper's number would vary by is unknown, so no test is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kdbench.errors import InputError, nearest
from kdbench.tables.model import Cell, Content, TableRow
from kdbench.tables.published import Published, PublishedRow, PublishedSetting
from kdbench.tables.reported import Show, score_cell
from kdbench.tables.spread import counts, distinct_sources

PlaceInRange = Literal["inside", "undecided", "below", "above", "no range"]
PLACES: tuple[PlaceInRange, ...] = get_args(PlaceInRange)
_LEAST_SOURCES = 2
_MOST_NAMED = 6
_PROMPTS = {  # of the files that the papers' code reads
    "dolly": 500,
    "self_instruct": 242,
    "vicuna": 80,
    "super_natural": 1694,
    "unnatural": 10_000,
}


@dataclass(frozen=True)
class ComparedScore:
    """An own score, and what is published of the same method.

    Attributes:
        setting: Short name of the published setting.
        row: Label of the own row.
        column: Title of the column: a task, or the mean of several.
        tasks: The tasks.
        own: The own score.
        reported: The score of the published row of this name; None without one to show.
        source: Where that row was read; empty without one.
        note: The note on that row.
        scores: What each published row of the method gives, without numbers from memory.
        sources: Titles of their sources.
    """

    setting: str
    row: str
    column: str
    tasks: tuple[str, ...]
    own: Cell
    reported: Cell | None
    source: str
    note: str
    scores: tuple[float, ...]
    sources: tuple[str, ...]

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest score; None unless two sources or more report one."""
        if len(self.sources) < _LEAST_SOURCES:
            return None
        return min(self.scores), max(self.scores)

    @property
    def place(self) -> PlaceInRange:
        """Where the own score is: in the range, or its whole interval below or above it."""
        if self.ends is None:
            return "no range"
        low, high = self.ends
        if low <= self.own.value <= high:
            return "inside"
        # Without an interval its own ends are unknown, so nothing is concluded.
        if self.own.ci_high is not None and self.own.ci_high < low:
            return "below"
        if self.own.ci_low is not None and self.own.ci_low > high:
            return "above"
        return "undecided"

    @property
    def differs(self) -> bool | None:
        """Whether the reported score is outside of the own interval; None if one is unknown."""
        own = self.own
        if self.reported is None or own.ci_low is None or own.ci_high is None:
            return None
        return not own.ci_low <= self.reported.value <= own.ci_high


@dataclass(frozen=True)
class Comparisons:
    """The own scores of a table that were compared.

    Attributes:
        title: Title of the published setting, or of several.
        metric: Metric of the scores.
        scores: The compared scores, column by column.
    """

    title: str
    metric: str
    scores: tuple[ComparedScore, ...]


def compared_scores(
    table: Content,
    published: Published,
    settings: Sequence[str],
    show: Show,
    names: Mapping[str, str] | None = None,
) -> Comparisons:
    """Compare the measured rows of a table with published ones.

    Args:
        table: The table.
        published: Published numbers.
        settings: Short names of the published settings to compare with.
        show: Which reported scores to show, by their certainty.
        names: The published row that reports a row, by its label; its own label by default.

    Raises:
        InputError: There is no such setting.
    """
    known = {setting.id: setting for setting in published.settings}
    for name in settings:
        if name not in known:
            raise InputError(f"no published setting '{name}': {nearest(name, known)}")
    rows = [row for group in table.groups for row in group.rows if row.kind == "measured"]
    chosen = [known[name] for name in settings]
    columns = [
        (place, head.name, head.tasks)
        for place, head in enumerate(table.heads)
        if head.metric == published.metric and set(head.tasks) <= set(published.columns)
    ]
    scores = [
        score
        for column in columns
        for setting in chosen
        for row in rows
        if (score := _compared(published, setting, row, column, show, names))
    ]
    title = " and ".join(setting.title for setting in chosen)
    return Comparisons(title, published.metric, tuple(scores))


def check_names(published: Published, settings: Sequence[str], names: Sequence[str]) -> None:
    """Check that published rows exist.

    Args:
        published: Published numbers.
        settings: Short names of the settings that have them.
        names: Their names.

    Raises:
        InputError: One does not.
    """
    chosen = [setting for setting in published.settings if setting.id in settings]
    known = {row.method for setting in chosen for row in setting.rows}
    for name in names:
        if name not in known:
            where = ", ".join(settings)
            raise InputError(f"reported_as: no row '{name}' in {where}: {nearest(name, known)}")


def _compared(
    published: Published,
    setting: PublishedSetting,
    row: TableRow,
    column: tuple[int, str, tuple[str, ...]],
    show: Show,
    names: Mapping[str, str] | None,
) -> ComparedScore | None:
    """A cell of an own row and what is published of it; None if one of both is missing."""
    place, title, tasks = column
    own = row.cells[place]
    wanted = (names or {}).get(row.label, row.label)
    report = next((other for other in setting.rows if other.method == wanted), None)
    name = report.name if report is not None else wanted
    family = [other for other in setting.rows if other.name == name and other.role != "composite"]
    counted = [other for other in family if all(counts(other, task) for task in tasks)]
    if own is None or not (report or counted):
        return None
    cell = None if report is None else _mean([score_cell(report, task, show) for task in tasks])
    scores = tuple(_mean_value(other, tasks) for other in counted)
    source = published.sources[report.source] if report is not None and cell is not None else None
    return ComparedScore(
        setting.id,
        row.label,
        title,
        tasks,
        own,
        cell,
        "" if source is None else ", ".join(filter(None, (source.title, source.url))),
        "" if source is None or report is None else report.note,
        scores,
        distinct_sources(published, counted),
    )


def _mean(cells: Sequence[Cell | None]) -> Cell | None:
    """The mean of reported cells; None unless all are known."""
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        return None
    unverified = any(cell.unverified for cell in known)
    return Cell(
        sum(cell.value for cell in known) / len(known),
        sd=known[0].sd if len(known) == 1 else None,
        decimals=known[0].decimals,
        unverified=unverified,
        second_hand=not unverified and any(cell.second_hand for cell in known),
    )


def _mean_value(row: PublishedRow, tasks: Sequence[str]) -> float:
    return sum(row.values[task] for task in tasks) / len(tasks)


def sentences(found: Comparisons) -> Iterator[str]:
    """What the comparison shows, from its numbers."""
    ranged = [score for score in found.scores if score.ends is not None]
    if ranged:
        by_place = {
            place: [score for score in ranged if score.place == place] for place in PLACES[:-1]
        }
        counts_of = ", ".join(f"{len(rows)} {place}" for place, rows in by_place.items() if rows)
        outside = [
            f"{place}: {_named(by_place[place])}" for place in ("below", "above") if by_place[place]
        ]
        where = f" ({'; '.join(outside)})" if outside else ""
        yield f"Of {len(ranged)} own scores with a published range: {counts_of}{where}."
    known = [score for score in found.scores if score.differs is not None]
    different = [score for score in known if score.differs]
    if known:
        same = len(known) - len(different)
        end = f"; not so for {_named(different)}" if different else ""
        yield (
            f"In {same} of {len(known)} pairs the reported score is in the own interval, so no "
            f"difference is seen{end}."
        )
    if fewer := list(dict.fromkeys(filter(None, map(_fewer, found.scores)))):
        yield (
            f"Own scores are not of the papers' prompts, which can be what moves them: "
            f"{', '.join(fewer)}."
        )


def _fewer(score: ComparedScore) -> str:
    """How many of the papers' prompts an own score is over; empty if it is all of them."""
    papers = _PROMPTS.get(score.tasks[0]) if len(score.tasks) == 1 else None
    if papers is None or score.own.n in (None, papers):
        return ""
    return f"{score.column} {score.own.n} of {papers}"


def _named(scores: Sequence[ComparedScore]) -> str:
    """Scores by row and column; of many, the first."""
    names = [f"{score.row} on {score.column}" for score in scores[:_MOST_NAMED]]
    more = len(scores) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")

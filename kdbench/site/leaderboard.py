"""The page Leaderboard: a sortable table for each metric, measured and reported rows apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kdbench.config import FIVE
from kdbench.site.boards import Board, best_rows, make_boards
from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.source import SiteSource
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.spread import method_spreads, spread_text
from kdbench.task import TITLES
from kdbench.text import interval, number

_MARKS = {"best": "best", "tied": "not significantly different from the best"}

_SPREAD_TASKS = {task: TITLES[task] for task in FIVE}
_LEAST_SOURCES = 3  # of a method whose range is shown


@dataclass(frozen=True)
class _ShownCell:
    """A cell as the page shows it.

    Attributes:
        text: Number, with its bound and its mark.
        sort: Number to sort by; empty without a number.
        ci: Interval in brackets.
        sd: Deviation over seeds.
        mark: `best`, `tied` or nothing.
        link: Address of its samples; empty if there are none.
    """

    text: str = ""
    sort: str = ""
    ci: str = ""
    sd: str = ""
    mark: str = ""
    link: str = ""

    @property
    def meaning(self) -> str:
        """What the mark means, for screen readers."""
        return _MARKS.get(self.mark, "")


@dataclass(frozen=True)
class _ShownRow:
    """A row as the page shows it.

    Attributes:
        row: The row.
        badge: `teacher` or `baseline`, if it is one.
        link: Address of its run; empty for a reported row.
        cells: Its cells.
        title: Title of its source, for a reported row.
        url: Address of its source, if it is one of the web.
    """

    row: TableRow
    badge: str
    link: str
    cells: tuple[_ShownCell, ...]
    title: str = ""
    url: str = ""


def leaderboard_page(source: SiteSource) -> Page:
    """Make the page Leaderboard."""
    made = make_boards(source)
    boards = [
        {
            "board": board,
            "groups": [
                {"group": group, "rows": list(_rows(source, board, index, group))}
                for index, group in enumerate(board.table.groups)
            ],
            "notes": _notes(board),
        }
        for board in made
    ]
    seeds = [row.training_seeds for board in made for row in board.table.rows]
    samples = any(source.has_samples(run, task) for run in source.runs for task in run.results)
    html = render(
        "leaderboard.html.j2",
        boards=boards,
        left_out=_left_out(source),
        samples=samples,
        recipes=any(len(of_row) > 1 for of_row in seeds),
        spread=_spread(source),
        spread_tasks=_SPREAD_TASKS,
    )
    return Page(
        "leaderboard",
        "Leaderboard",
        html,
        ("vendor/sortable.js", "leaderboard.js"),
        ("leaderboard.css",),
    )


def _spread(source: SiteSource) -> list[dict[str, Any]]:
    """How far papers disagree on the shown pairs; empty where no reported rows are shown."""
    if source.settings.published == "none":
        return []
    return [
        {"row": row, "cells": [spread_text(row.by_column.get(task)) for task in _SPREAD_TASKS]}
        for row in method_spreads(source.settings.baselines, _LEAST_SOURCES)
    ]


def _rows(source: SiteSource, board: Board, index: int, group: Group) -> Iterator[_ShownRow]:
    best = list(best_rows(board, index))  # empty where all students are equal
    teachers = {run.folder for run in source.teachers}
    for place, row in enumerate(group.rows):
        measured = row.kind == "measured"
        marks = [
            "best" if place in of_column else "tied" if of_column and cell and cell.best else ""
            for of_column, cell in zip(best, row.cells, strict=True)
        ]
        cells = tuple(
            _cell(cell, mark, _link(source, row, task) if measured else "")
            for cell, mark, task in zip(row.cells, marks, board.tasks, strict=True)
        )
        badge = "teacher" if row.source in teachers or not row.ranked else ""
        if source.baseline is not None and row.source == source.baseline.folder:
            badge = "baseline"
        if measured:
            yield _ShownRow(row, badge, f"#/run?run={quote(row.source)}", cells)
        else:
            title, url = split_source(row.source)
            yield _ShownRow(row, badge, "", cells, title, url)


def split_source(source: str) -> tuple[str, str]:
    """Title and address of a source, `title, address`; no address if it is not one of the web."""
    title, _, address = source.rpartition(", ")
    if re.fullmatch(r"https?://[^\s<>\"']+", address):
        return title, address
    return source, ""


def _link(source: SiteSource, row: TableRow, task: str | None) -> str:
    run = source.run(row.source)
    if task is None or run is None or not source.has_samples(run, task):
        return ""
    return f"#/samples?task={quote(task)}&students={quote(run.folder)}"


def _cell(cell: Cell | None, mark: str, link: str) -> _ShownCell:
    if cell is None:
        return _ShownCell()
    decimals = cell.decimals
    return _ShownCell(
        text=f"{number(cell.value, decimals, cell.bound)}{f' {cell.mark}' if cell.mark else ''}",
        sort=repr(cell.value),
        ci=interval(cell.ci_low, cell.ci_high, decimals),
        sd="" if cell.sd is None else f"± {cell.sd:.{decimals}f}",
        mark=mark,
        link=link,
    )


def _notes(board: Board) -> list[str]:
    """The notes of the table, except those on marks, which the page explains itself."""
    notes = [note for note in board.table.notes() if not note.startswith("Within each setting")]
    return [*notes, *board.table.verdicts()]


def _left_out(source: SiteSource) -> list[str]:
    """Why rows that a reader may miss are not there."""
    notes: list[Any] = []
    if source.settings.published == "none":
        notes.append("Published rows are not shown; published=verified adds them.")
    return notes

"""Rows that papers and web pages report, from `baselines/published.yaml`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kdbench.errors import InputError, first_fault
from kdbench.system.bundled import bundled
from kdbench.system.safe_yaml import read_yaml_file
from kdbench.tables.model import Cell, Group, TableRow

_NOT_PUBLISHED = "not a file of published numbers"
Points = Annotated[float, Field(strict=True, ge=0, le=100)]
Certainty = Literal["verified", "second_hand", "unverified"]
Show = Literal["verified", "second_hand", "all"]
_SHOWN: dict[Show, tuple[Certainty, ...]] = {
    "verified": ("verified",),
    "second_hand": ("verified", "second_hand"),
    "all": ("verified", "second_hand", "unverified"),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PublishedSource(_Strict):
    """A place where numbers were read."""

    title: str
    url: str
    note: str = ""


class _Judge(_Strict):
    by: str
    values: dict[str, Points]
    certainty: Certainty | None = None


class PublishedRow(_Strict):
    """The numbers of one method in one place."""

    method: str
    known_as: str = ""
    role: Literal["student", "teacher", "composite"]
    source: str
    certainty: Certainty
    decimals: int = Field(ge=0, le=6)
    values: dict[str, Points]
    sd: dict[str, Points] = Field(default_factory=dict)
    unverified: tuple[str, ...] = ()
    second_hand: tuple[str, ...] = ()
    judge: _Judge | None = None
    minutes: float | None = Field(default=None, gt=0)
    note: str = ""

    @property
    def name(self) -> str:
        """The name under which the literature knows the method."""
        return self.known_as or self.method

    def certainty_of(self, column: str) -> Certainty:
        """The certainty of a cell."""
        if column in self.unverified:
            return "unverified"
        return "second_hand" if column in self.second_hand else self.certainty


class PublishedSetting(_Strict):
    """The rows of one teacher and student."""

    id: str
    title: str
    teacher: str
    student: str
    note: str = ""
    rows: tuple[PublishedRow, ...]


class Published(_Strict):
    """A file of published numbers."""

    schema_: Literal[1] = Field(alias="schema")
    metric: str
    columns: tuple[str, ...]
    sources: dict[str, PublishedSource]
    settings: tuple[PublishedSetting, ...]


def published_groups(
    path: Path | None, columns: Sequence[str], metric: str, show: Show
) -> list[Group]:
    """Read the reported rows, a group for each setting.

    Args:
        path: YAML file; None for the bundled one.
        columns: Tasks to show.
        metric: Metric to show; without numbers of it there is no group.
        show: `verified` for verified numbers only, `second_hand` for these and what a third party
            quotes, `all` for all; those that are not verified are marked.

    Raises:
        InputError: the file is not one of published numbers.
    """
    published = read_published(path)
    if published.metric != metric:
        return []
    groups = [
        Group(setting.id, setting.title, tuple(_rows(setting, published.sources, columns, show)))
        for setting in published.settings
    ]
    return [group for group in groups if group.rows]


def published_columns(
    path: Path | None,
    columns: Sequence[Sequence[str]],
    metric: str,
    show: Show,
) -> list[Group]:
    """Read the reported rows for columns of several metrics.

    Args:
        path: YAML file; None for the bundled one.
        columns: For each column its tasks: one, several to average, or none if it shows another
            metric.
        metric: Metric of the columns that have tasks.
        show: As for `published_groups`.

    Raises:
        InputError: the file is not one of published numbers.
    """
    tasks = list(dict.fromkeys(task for column in columns for task in column))
    groups = []
    for group in published_groups(path, tasks, metric, show):
        rows = []
        for row in group.rows:
            by_task = dict(zip(tasks, row.cells[:-1], strict=True))
            cells = tuple(_combined([by_task[task] for task in column]) for column in columns)
            if any(cells):
                rows.append(replace(row, cells=cells))
        if rows:
            groups.append(replace(group, rows=tuple(rows)))
    return groups


def _combined(cells: Sequence[Cell | None]) -> Cell | None:
    """The average of several cells; a single cell as it is."""
    known = [cell for cell in cells if cell is not None]
    if len(cells) == 1 or not known:
        return known[0] if known else None
    return _average(cells, known[0].decimals)


def read_published(path: Path | None) -> Published:
    """Read a file of published numbers.

    Args:
        path: YAML file; None for the bundled one.

    Raises:
        InputError: the file is not one of published numbers.
    """
    path = path or bundled("baselines") / "published.yaml"
    try:
        published = Published.model_validate(read_yaml_file(path))
    except OSError as error:
        raise InputError(f"baselines={path}: {error.strerror}") from None
    except ValidationError as error:
        field, reason = first_fault(error)
        raise InputError(f"{path}: {_NOT_PUBLISHED}: {field or 'file'}: {reason}") from None
    except ValueError as error:  # not YAML, not UTF-8, an impossible date …
        raise InputError(f"{path}: {_NOT_PUBLISHED}: {' '.join(str(error).split())}") from None
    for setting in published.settings:
        for row in setting.rows:
            _check_names(path, published, row)
    return published


def _check_names(path: Path, published: Published, row: PublishedRow) -> None:
    """Check names: a misspelt one would drop a number, or hide that it is unverified."""
    sources, columns, values = set(published.sources), set(published.columns), set(row.values)
    checks = [
        ("source", {row.source}, sources),
        ("values", values, columns),
        ("sd", set(row.sd), values),
        ("unverified", set(row.unverified), values),
        ("second_hand", set(row.second_hand), values),
        ("judge", set(row.judge.values if row.judge else ()), columns),
    ]
    for field, names, known in checks:
        for name in sorted(names - known):
            raise InputError(f"{path}: row '{row.method}': {field}: unknown name '{name}'")


def _rows(
    setting: PublishedSetting,
    sources: dict[str, PublishedSource],
    columns: Sequence[str],
    show: Show,
) -> list[TableRow]:
    rows = []
    for row in setting.rows:
        cells = [_cell(row, column) for column in columns]
        shown = [
            cell if cell and row.certainty_of(column) in _SHOWN[show] else None
            for column, cell in zip(columns, cells, strict=True)
        ]
        if not any(shown):
            continue
        source = sources[row.source]
        rows.append(
            TableRow(
                label=row.method,
                kind="reported",
                ranked=row.role == "student",
                source=", ".join(filter(None, (source.title, source.url))),
                cells=(*shown, _average(shown, row.decimals)),
                note=row.note,
            )
        )
    return rows


def _cell(row: PublishedRow, column: str) -> Cell | None:
    if column not in row.values:
        return None
    return Cell(
        value=row.values[column],
        sd=row.sd.get(column),
        decimals=row.decimals,
        unverified=row.certainty_of(column) == "unverified",
        second_hand=row.certainty_of(column) == "second_hand",
    )


def _average(cells: Sequence[Cell | None], decimals: int) -> Cell | None:
    """The plain mean of cells; None if one is missing."""
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        return None
    mean = sum(cell.value for cell in known) / len(known)
    unverified = any(cell.unverified for cell in known)
    second_hand = not unverified and any(cell.second_hand for cell in known)
    return Cell(mean, decimals=decimals, unverified=unverified, second_hand=second_hand)

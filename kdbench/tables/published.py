"""Rows that papers and pages report, from `baselines/published.yaml`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from kdbench.bundled import bundled
from kdbench.errors import InputError
from kdbench.tables.model import Cell, Group, TableRow


def published_groups(
    path: Path | None, columns: Sequence[str], metric: str, show: Literal["verified", "all"]
) -> list[Group]:
    """The reported rows, a group for each setting.

    Args:
        path: the YAML file, None for the bundled one.
        columns: tasks.
        metric: rows of other metrics are left out.
        show: `verified` numbers, or `all`, where the others are marked.

    Raises:
        InputError: not a file of published numbers.
    """
    path = path or bundled("baselines") / "published.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
        if content["metric"] != metric:
            return []
        groups = [
            Group(one["id"], one["title"], tuple(_rows(one, content["sources"], columns, show)))
            for one in content["settings"]
        ]
    except OSError as error:
        raise InputError(f"baselines={path}: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a file of published numbers: {reason}") from None
    return [group for group in groups if group.rows]


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster


def _rows(
    setting: Mapping[str, Any],
    sources: Mapping[str, Mapping[str, str]],
    columns: Sequence[str],
    show: Literal["verified", "all"],
) -> list[TableRow]:
    rows = []
    for row in setting["rows"]:
        cells = [_cell(row, column) for column in columns]
        shown = [
            cell if cell and (show == "all" or not cell.unverified) else None for cell in cells
        ]
        if not any(shown):
            continue
        source = sources[row["source"]]
        rows.append(
            TableRow(
                label=row["method"],
                kind="reported",
                ranked=row["role"] == "student",
                source=f"{source['title']}, {source['url']}",
                cells=(*shown, _average(shown, row["decimals"])),
                note=row.get("note", ""),
            )
        )
    return rows


def _cell(row: Mapping[str, Any], column: str) -> Cell | None:
    if column not in row["values"]:
        return None
    return Cell(
        value=row["values"][column],
        sd=row.get("sd", {}).get(column),
        decimals=row["decimals"],
        unverified=row["certainty"] == "unverified" or column in row.get("unverified", ()),
    )


def _average(cells: Sequence[Cell | None], decimals: int) -> Cell | None:
    """The plain mean of the printed cells; None if one is missing."""
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        return None
    mean = sum(cell.value for cell in known) / len(known)
    return Cell(mean, decimals=decimals, unverified=any(cell.unverified for cell in known))

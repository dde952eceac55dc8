"""Notes on rows that differ from the others of their group: fewer prompts, fewer seeds, older."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kdbench.tables.column import Column
from kdbench.tables.model import TableRow
from kdbench.tables.provenance import Provenance
from kdbench.text import counted


def with_differences(rows: Sequence[TableRow], columns: Sequence[Column]) -> list[TableRow]:
    """Add notes to the rows that have less than others of their group, or an older checkpoint.

    Args:
        rows: Measured rows of a group.
        columns: Columns of the rows.
    """
    prompts = [_most_prompts(rows, place) for place in range(len(columns))]
    trainings = max((len(row.training_seeds) for row in rows), default=0)
    by_label: dict[str, list[TableRow]] = {}
    for row in rows:
        by_label.setdefault(row.label, []).append(row)
    return [
        _noted(
            row,
            [
                *_fewer_prompts(row, prompts, columns),
                *_fewer_trainings(row, trainings),
                *_earlier(row, by_label[row.label]),
            ],
        )
        for row in rows
    ]


def with_newer(rows: Sequence[TableRow], others: Sequence[Sequence[TableRow]]) -> list[TableRow]:
    """Add a note to rows if newer runs of their setting were asked something else.

    Args:
        rows: Measured rows of a group.
        others: Rows of the groups of the same setting, protocol and limit.
    """
    newest = max(map(_created, rows), default="")
    if all(_created(row) <= newest for group in others for row in group):
        return list(rows)
    note = "newer runs of this setting have other data, prompts or versions of tasks and metrics"
    return [_noted(row, [note]) for row in rows]


def _created(row: TableRow) -> str:
    return "" if row.provenance is None else row.provenance.created


def _model_folder(origin: Provenance) -> str:
    """The folder of a model's runs: of two runs in it, the newer one is of the newer checkpoint."""
    return origin.runs[0].rpartition("/")[0]


def _noted(row: TableRow, notes: Sequence[str]) -> TableRow:
    return replace(row, note="; ".join(filter(None, [row.note, *notes])))


def _most_prompts(rows: Sequence[TableRow], place: int) -> int:
    cells = [row.cells[place] for row in rows]
    return max((cell.n for cell in cells if cell is not None and cell.n is not None), default=0)


def _fewer_prompts(
    row: TableRow, prompts: Sequence[int], columns: Sequence[Column]
) -> Iterator[str]:
    """Columns for which other rows have more prompts; `prompts` are the most of each column."""
    names: dict[tuple[int, int], list[str]] = {}
    for place, (column, most) in enumerate(zip(columns, prompts, strict=True)):
        cell = row.cells[place]
        if cell is not None and cell.n is not None and cell.n < most and not column.mean:
            names.setdefault((cell.n, most), []).append(column.name)
    for (n, most), short in names.items():
        yield f"{', '.join(short)}: {counted(n, 'prompt')}, others have {most}"


def _fewer_trainings(row: TableRow, most: int) -> Iterator[str]:
    if row.ranked and 0 < len(row.training_seeds) < most:
        yield f"{counted(len(row.training_seeds), 'training seed')}, others have {most}"


def _earlier(row: TableRow, namesakes: Sequence[TableRow]) -> Iterator[str]:
    """A row of the same label whose run is newer: the checkpoint was made again since."""
    mine = row.provenance
    if mine is None or not mine.created or len(mine.runs) > 1:
        return
    for other in namesakes:
        its = other.provenance
        if its is None or its.checkpoints == mine.checkpoints:
            continue
        if _model_folder(its) == _model_folder(mine) and its.created > mine.created:
            yield f"stale: {mine.runs[0]} is of an earlier checkpoint than {', '.join(its.runs)}"
            return

"""The scores of a table next to published ones, for `spread:` in its file."""

from pathlib import Path

from kdbench.errors import InputError, faults_in
from kdbench.filling.spec import TEACHER, TableSpec
from kdbench.tables import Table
from kdbench.tables.published import read_published
from kdbench.tables.side_by_side import check_names, compared_scores
from kdbench.tables.side_by_side_table import SideBySide


def check_reported(spec: TableSpec, file: Path) -> None:
    """Check that the published rows that a table's file names exist.

    Args:
        spec: Specification of the table.
        file: Its file, for messages.

    Raises:
        InputError: One does not, or nothing would be compared with it.
    """
    names = [entry.reported_as for entry in (spec.teacher, *spec.rows) if entry.reported_as]
    if not names:
        return
    if any(row.reported_as and row.label is None for row in spec.rows):
        raise InputError(f"{file}: reported_as: its row needs a label:")
    if not spec.spread:
        raise InputError(f"{file}: reported_as: needs spread: true, which compares with it")
    with faults_in(str(file)):
        check_names(read_published(None), spec.published, names)


def next_to_published(spec: TableSpec, table: Table) -> SideBySide | None:
    """The scores of a table next to those of its `published:` groups; None if no row has one.

    Args:
        spec: Specification of the table.
        table: The table that was drawn.
    """
    entries = [(spec.teacher.label or TEACHER, spec.teacher)]
    entries += [(row.label, row) for row in spec.rows if row.label is not None]
    names = {label: entry.reported_as for label, entry in entries if entry.reported_as}
    found = compared_scores(table, read_published(None), spec.published, spec.certainty, names)
    return SideBySide(found) if found.scores else None


def with_block(text: str, name: str, content: str | None) -> str:
    """The text of TABLE.md with a table in a block of its own, or without the block.

    Args:
        text: The text.
        name: Name of the block.
        content: The table, which ends with a newline; None for no block.

    Raises:
        InputError: The block has a beginning and no end.
    """
    first, last = f"<!-- kdbench:begin {name} -->", f"<!-- kdbench:end {name} -->"
    before, begin, rest = text.partition(f"\n{first}\n")
    _, end, after = rest.partition(f"{last}\n")
    if begin and not end:
        raise InputError(f"TABLE.md: has a line '{first}' and no line '{last}' after it")
    if content is None:
        return before + after
    return f"{before}\n{first}\n{content}{last}\n{after}"

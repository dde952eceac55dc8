"""The comparison table: methods × tasks, measured and reported."""

from kdbench.tables.build import build_table, unshown_tasks
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.next_to_published import build_side_by_side
from kdbench.tables.render import Table

__all__ = [
    "Cell",
    "Group",
    "Table",
    "TableRow",
    "build_side_by_side",
    "build_table",
    "unshown_tasks",
]

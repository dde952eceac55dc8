"""The comparison table: methods × tasks, measured and reported."""

from kdbench.tables.build import build_table, unshown_tasks
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.render import Table

__all__ = ["Cell", "Group", "Table", "TableRow", "build_table", "unshown_tasks"]

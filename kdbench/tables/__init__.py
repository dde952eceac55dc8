"""The comparison table: methods × tasks, reported rows beside measured ones."""

from kdbench.tables.build import build_table
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.table import Table

__all__ = ["Cell", "Group", "Table", "TableRow", "build_table"]

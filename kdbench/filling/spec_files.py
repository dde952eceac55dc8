"""Where the specifications of tables are: bundled ones by name, others by path."""

from pathlib import Path

from kdbench.config.extending import KEY as EXTENDS
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.system.bundled import bundled


def tables() -> dict[str, Path]:
    """The files of the bundled specifications, by name: `toy`."""
    folder = bundled("baselines") / "tables"
    return {file.stem: file for file in sorted(folder.glob("[!_]*.yaml"))}


def find_spec(table: str) -> Path:
    """Find the file of a specification.

    Args:
        table: Name of a bundled specification, or a path.

    Raises:
        InputError: it is neither.
    """
    bundled_tables = tables()
    if table in bundled_tables:
        return bundled_tables[table]
    if Path(table).is_file():
        return Path(table)
    near = nearest_path(Path(table)) or f": {nearest(table, bundled_tables)}"
    raise InputError(f"unknown table '{table}', and no such file{near}")


def base_of(file: Path, name: str) -> Path:
    """Find the file that a specification extends.

    Args:
        file: The file of the specification.
        name: Name of a bundled specification, or a path relative to the file's folder.

    Raises:
        InputError: it is neither.
    """
    bundled_tables = tables()
    base = bundled_tables.get(name, file.parent / name)
    if base.is_file():
        return base
    near = nearest_path(base) or f": {nearest(name, bundled_tables)}"
    raise InputError(f"table={file}: {EXTENDS}: no table '{name}', and no such file{near}")

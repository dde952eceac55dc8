"""`kdbench mechanisms`: the table of mechanisms from stored results and a table's file alone."""

from pathlib import Path

from kdbench.config import MechanismSettings
from kdbench.errors import InputError, nearest_path
from kdbench.filling.mechanism_table import MechanismTable, mechanism_table
from kdbench.filling.mechanisms import check_mechanisms, current_runs
from kdbench.filling.rows import plugins_of, spec_rows
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.store.runs import stored_runs


def mechanisms(settings: MechanismSettings) -> MechanismTable:
    """Read which methods moved what their ideas should move; no model is needed.

    Args:
        settings: Settings of `kdbench mechanisms`.

    Raises:
        InputError: The table's file is wrong, compares no rows, or has no results.
    """
    file = find_spec(settings.table)
    spec = read_spec(file)
    if not spec.mechanisms:
        raise InputError(f"{file}: mechanisms: false: it shows none")
    rows = spec_rows(spec, plugins_of(settings.plugins))
    check_mechanisms(spec, rows, file)
    if not any(row.entry.against for row in rows):
        raise InputError(f"{file}: no row has against:, which names the row to compare it with")
    results = settings.results or spec.results or Path("results") / file.stem
    if not results.is_dir():
        raise InputError(f"results={results}: no such folder{nearest_path(results)}")
    runs = current_runs(list(stored_runs(results)), spec.setting or spec.title)
    if not runs:
        raise InputError(f"results={results}: no run of this table; kdbench fill measures them")
    return mechanism_table(spec, rows, runs)

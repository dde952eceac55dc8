"""Keys of `kdbench pack`."""

from pathlib import Path

from pydantic import Field

from kdbench.config.kinds import Names
from kdbench.config.plugins import PluginKeys


class PackSettings(PluginKeys, positional=("table",), group="Pack"):
    """`kdbench pack TABLE`: the small files of a table's runs as one file for a repository."""

    table: str | None = Field(
        None,
        description="Table file, or the name of a bundled one, whose columns say which metrics are "
        "kept (default: none, and all metrics are kept)",
    )
    results: Path | None = Field(
        None, description="Folder of the results (default: as in the table file)"
    )
    metrics: Names = Field(
        (),
        description="Metrics to keep, also all (default: those that the table's columns and "
        "mechanisms show)",
    )
    out: Path | None = Field(
        None, description="Folder in which the pack is written (default: that of the results)"
    )

"""`kdbench table spread=true`: stored results next to published numbers."""

from collections.abc import Sequence

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.store.runs import StoredRun
from kdbench.tables.build import build_table
from kdbench.tables.published import read_published
from kdbench.tables.side_by_side import compared_scores
from kdbench.tables.side_by_side_table import SideBySide

MEASURED = "measured"


def build_side_by_side(
    settings: TableSettings, runs: Sequence[StoredRun] | None = None
) -> SideBySide:
    """Compare stored results with published numbers.

    Args:
        settings: What to show; `settings=` names the published groups.
        runs: Runs to show; None for all runs in `results=`.

    Raises:
        InputError: As for `build_table`, or no published group is named.
    """
    published = read_published(settings.baselines)
    groups = [name for name in settings.settings if name != MEASURED]
    if not groups:
        raise InputError(
            "spread=true needs settings=ID, a published group, such as "
            f"{published.settings[0].id}; kdbench published lists them"
        )
    show = settings.published if settings.published != "none" else "verified"
    table = build_table(settings.model_copy(update={"settings": (MEASURED, *groups)}), runs)
    found = compared_scores(table, published, groups, show)
    if not found.scores:
        raise InputError(
            f"results={settings.results}: no row with {published.metric} has the name of a "
            f"published one of {', '.join(groups)}; kdbench published lists them"
        )
    return SideBySide(found)

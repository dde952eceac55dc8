"""`kdbench frontier`: measure what is missing, compare the curves, store and draw them."""

from pathlib import Path

from kdbench.config import FrontierSettings
from kdbench.frontiers.conclude import conclude
from kdbench.frontiers.measure import check_metric, measured
from kdbench.frontiers.picture import THEMES, draw
from kdbench.frontiers.stored import as_stored, has_runs, stored_frontier, stored_students
from kdbench.frontiers.students import asked_students, check_changes
from kdbench.frontiers.table import Frontier
from kdbench.store.frontiers import FRONTIERS, write_frontier
from kdbench.store.places import FRONTIER
from kdbench.system.files import put_bytes
from kdbench.system.outputs import put_output
from kdbench.system.remote.hooks import fetch_results, publishing, watch


def frontier(settings: FrontierSettings) -> Frontier:
    """Measure every student at every temperature, and compare the curves.

    Without a table or students, the stored runs are compared again; where a repository kept only
    their curves, these are shown. No model is needed then.

    Args:
        settings: Settings of `kdbench frontier`.

    Raises:
        InputError: Models, data, tasks or settings have a fault that the user can fix.
    """
    check_metric(settings)
    check_changes(settings)
    if settings.table is None and not settings.students:
        results = settings.results or Path("results")
        record = stored_frontier(settings, results)
        if not has_runs(record, results):
            return as_stored(settings, record, results)
        title, students = record.title, stored_students(settings, record, results)
    else:
        asked = asked_students(settings)
        title, results = asked.title, asked.results
        fetch_results(results / FRONTIERS)
        students = measured(settings, asked)
    folder = results / FRONTIERS
    record = conclude(title, students, settings.metric, folder)
    found = Frontier(record, folder)
    files = [folder / f"frontier-{theme}.svg" for theme in THEMES]
    with publishing():
        watch(folder / FRONTIER, folder / "FRONTIER.md", *files)
        for file, theme in zip(files, THEMES, strict=True):
            put_bytes(file, draw(record, theme))
        put_output(folder / "FRONTIER.md", found.render("md"))
        write_frontier(results, record)
    return found

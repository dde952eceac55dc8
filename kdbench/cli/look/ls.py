"""`kdbench ls`: runs, recipes, tables and gates' baselines."""

import shutil
import sys
from collections.abc import Iterator, Sequence

from kdbench.cli.look.files import first_comment, method_of, read_gate
from kdbench.config.look import LsSettings
from kdbench.errors import InputError, nearest_path
from kdbench.store.summaries import RunSummary, summaries
from kdbench.text import aligned, printable, shortened

_TITLES = ("model", "method", "protocol", "tasks", "limit", "day", "score", "state", "run")
_SPARE = ("protocol", "limit", "method", "model")
"""Columns that a narrow terminal does not show, in the order in which they go."""
_LONGEST = 40


def ls_lines(settings: LsSettings) -> Iterator[str]:
    """What there is, in sections.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: The folder of results that was named does not exist.
    """
    sections = {
        "runs": run_lines,
        "recipes": _recipe_lines,
        "tables": _table_lines,
        "baselines": _baseline_lines,
    }
    if settings.what is not None:
        yield from sections[settings.what](settings)
        return
    for number, (title, lines) in enumerate(sections.items()):
        yield from ([""] if number else []) + [f"{title}:"]
        yield from (f"  {line}" for line in lines(settings))


def run_lines(settings: LsSettings) -> list[str]:
    """The runs, the newest first."""
    results = settings.results
    if not results.is_dir() and "results" in settings.model_fields_set:
        raise InputError(f"results={results}: no such folder{nearest_path(results)}")
    runs = summaries(results, settings.model)
    if not runs:
        of = f" of '{settings.model}'" if settings.model else ""
        return [f"no runs{of} in {results}; kdbench eval MODEL makes one"]
    shown = runs[: settings.limit]
    rows = [dict(zip(_TITLES, _cells(run), strict=True)) for run in shown]
    titles = _fitting(rows, 0 if settings.what else 2)
    table = [titles, *([row[title] for title in titles] for row in rows)]
    numbers = {"tasks", "limit", "score"}
    lines = aligned(table, left=[i for i, title in enumerate(titles) if title not in numbers])
    broken = [f"{run.run}: {run.state}" for run in shown if not run.model]
    rest = [f"and {len(runs) - len(shown)} more"] if len(runs) > len(shown) else []
    return [*lines, *rest, *broken]


def _cells(run: RunSummary) -> list[str]:
    score = "" if run.score is None else f"{run.metric} {run.score:.2f}"
    cells = [
        run.model,
        run.method,
        run.protocol,
        f"{len(run.tasks)}/{run.planned}",
        "all" if run.limit is None else str(run.limit),
        run.created[:10],
        score,
        run.state if run.model else "broken",
    ]
    return [*(shortened(printable(cell), _LONGEST) for cell in cells), printable(run.run)]


def _fitting(rows: Sequence[dict[str, str]], indent: int) -> list[str]:
    """The columns that fit on the terminal; all of them elsewhere."""
    titles = list(_TITLES)
    if not sys.stdout.isatty():
        return titles
    width = shutil.get_terminal_size((80, 24)).columns - indent
    for spare in _SPARE:
        columns = [max(map(len, [title, *(row[title] for row in rows)])) for title in titles]
        if sum(columns) + 2 * (len(columns) - 1) <= width:
            break
        titles.remove(spare)
    return titles


def _recipe_lines(settings: LsSettings) -> list[str]:  # noqa: ARG001 - of every section
    from kdbench.distillation.recipe import recipes

    rows = [
        (name, method_of(path), first_comment(path).rstrip(".")) for name, path in recipes().items()
    ]
    return aligned(rows, left=range(3))


def _table_lines(settings: LsSettings) -> list[str]:  # noqa: ARG001 - of every section
    from kdbench.filling.spec import tables

    return aligned([(name, first_comment(path)) for name, path in tables().items()], left={0, 1})


def _baseline_lines(settings: LsSettings) -> list[str]:
    files = sorted(settings.gates.glob("*.json"))
    rows = []
    for file in files:
        try:
            gate = read_gate(file)
        except InputError as error:
            rows.append((file.stem, "", "", f"broken: {error}"))
            continue
        rows.append((file.stem, gate.model, gate.day, f"{gate.tolerance}  {gate.reason}"))
    return aligned(rows, left=range(4)) if rows else [f"no baselines in {settings.gates}"]

"""`kdbench ls`: runs, recipes, tables and gates' baselines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.look.files import first_comment, method_of, read_gate
from kdbench.cli.shown.listing import list_lines
from kdbench.config.look import LsSettings
from kdbench.errors import InputError, nearest_path
from kdbench.store.summaries import RunSummary, summaries
from kdbench.system.console import say
from kdbench.system.layout import output_width
from kdbench.text import aligned, printable, shortened

_TITLES = ("model", "method", "protocol", "tasks", "limit", "day", "score", "state", "run")
_SPARE = ("protocol", "limit", "method", "model")
"""Columns that a narrow terminal does not show, in the order in which they go."""
_LONGEST = 40
_INDENT = "  "


@dataclass(frozen=True)
class Listing:
    """What there is of one kind.

    Attributes:
        entries: Its parts, for JSON.
        lines: Lines for people, given the columns of the terminal; None for no limit.
    """

    entries: Sequence[Mapping[str, Any]]
    lines: Callable[[int | None], Iterable[str]]


def ls_answer(settings: LsSettings) -> VerbAnswer:
    """What there is, by kind.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: The folder of results that was named does not exist.
    """
    kinds = {"runs": _runs, "recipes": _recipes, "tables": _tables, "baselines": _baselines}
    chosen = list(kinds) if settings.what is None else [settings.what]
    found = {kind: kinds[kind](settings) for kind in chosen}

    def show() -> None:
        width = output_width()
        if settings.what is not None:
            for line in found[settings.what].lines(width):
                say(line)
            return
        inner = None if width is None else max(1, width - len(_INDENT))
        for number, (kind, listing) in enumerate(found.items()):
            if number:
                say("")
            say(f"{kind}:")
            for line in listing.lines(inner):
                say(_INDENT + line)

    return VerbAnswer(show, lambda: {kind: listing.entries for kind, listing in found.items()})


def _runs(settings: LsSettings) -> Listing:
    """The runs, the newest first."""
    results = settings.results
    if not results.is_dir() and "results" in settings.model_fields_set:
        raise InputError(f"results={results}: no such folder{nearest_path(results)}")
    runs = summaries(results, settings.model)
    shown = runs[: settings.limit]

    def lines(width: int | None) -> Iterator[str]:
        if not runs:
            of = f" of '{settings.model}'" if settings.model else ""
            yield f"no runs{of} in {results}; kdbench eval MODEL makes one"
            return
        yield from _run_lines(shown, width)
        if len(runs) > len(shown):
            yield f"and {len(runs) - len(shown)} more"
        yield from (f"{run.run}: {run.state}" for run in shown if not run.model)

    return Listing([asdict(run) for run in shown], lines)


def _run_lines(runs: Sequence[RunSummary], width: int | None) -> list[str]:
    rows = [dict(zip(_TITLES, _cells(run), strict=True)) for run in runs]
    titles = _fitting(rows, width)
    table = [titles, *([row[title] for title in titles] for row in rows)]
    numbers = {"tasks", "limit", "score"}
    return aligned(table, left=[i for i, title in enumerate(titles) if title not in numbers])


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


def _fitting(rows: Sequence[Mapping[str, str]], width: int | None) -> list[str]:
    """The columns that fit the width."""
    from rich.cells import cell_len

    titles = list(_TITLES)
    for spare in _SPARE:
        columns = [max(map(cell_len, [title, *(row[title] for row in rows)])) for title in titles]
        if width is None or sum(columns) + 2 * (len(columns) - 1) <= width:
            break
        titles.remove(spare)
    return titles


def _recipes(settings: LsSettings) -> Listing:  # noqa: ARG001 - of every kind
    from kdbench.distillation.recipe import recipes

    return _listing(
        ("name", "method", "description"),
        [
            (name, method_of(path), first_comment(path).rstrip("."))
            for name, path in recipes().items()
        ],
    )


def _tables(settings: LsSettings) -> Listing:  # noqa: ARG001 - of every kind
    from kdbench.filling.spec_files import tables

    rows = [(name, first_comment(path)) for name, path in tables().items()]
    return _listing(("name", "title"), rows)


def _baselines(settings: LsSettings) -> Listing:
    rows = []
    for file in sorted(settings.gates.glob("*.json")):
        try:
            gate = read_gate(file)
        except InputError as error:
            rows.append((file.stem, "", "", "", f"broken: {error}"))
            continue
        rows.append((file.stem, gate.model, gate.day, gate.tolerance, gate.reason))
    keys = ("name", "model", "day", "tolerance", "reason")
    return _listing(keys, rows, f"no baselines in {settings.gates}")


def _listing(keys: Sequence[str], rows: Sequence[Sequence[str]], none: str = "") -> Listing:
    entries = [dict(zip(keys, row, strict=True)) for row in rows]
    return Listing(entries, lambda width: list_lines(rows, width) if rows or not none else [none])

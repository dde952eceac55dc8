"""The verbs that list what is installed: tasks, metrics, methods, backends and protocols."""

from collections.abc import Sequence
from typing import Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.app import verb
from kdbench.cli.help import first_line, plain
from kdbench.cli.lookup import only_name
from kdbench.cli.shown.listing import family_lines, list_answer
from kdbench.errors import InputError, nearest
from kdbench.registry.plugins import load_named_plugins
from kdbench.system.console import say
from kdbench.system.layout import output_width, wrapped
from kdbench.text import counted


@verb("tasks", words="[NAME]")
def _tasks(arguments: list[str]) -> VerbAnswer | None:
    """List the tasks, or explain the one that is named."""
    if explained("tasks", arguments):
        return None
    from kdbench.task import TITLES, known_tasks

    rows = [(name, TITLES.get(name, ""), str(path)) for name, path in known_tasks().items()]
    note = "lm-eval's own tasks, groups and tags: tasks=lm_eval:NAME, such as lm_eval:arc_easy"
    return _listed(("name", "title", "file"), rows, [note])


@verb("metrics", words="[NAME] [plugins=FILE]")
def _metrics(arguments: list[str]) -> VerbAnswer | None:
    """List the metrics, or explain the one that is named."""
    if explained("metrics", load_named_plugins(arguments)):
        return None
    from kdbench.metrics import (
        PositionMetric,
        PromptMetric,
        TeacherMetric,
        in_headline_set,
        metrics,
    )

    def needs(kind: Any) -> str:
        if issubclass(kind, PositionMetric):
            return " ".join(f"@{positions}" for positions in kind.sets)
        if issubclass(kind, PromptMetric):
            return "@k"
        return "needs a teacher" if issubclass(kind, TeacherMetric) else ""

    better = {"higher": "higher is better", "lower": "lower is better", "none": ""}
    kinds = [metrics.get(name) for name in metrics.names()]
    headline = ["headline" if in_headline_set(kind) else "" for kind in kinds]
    rows = [
        (kind.name, kind.unit, better[kind.direction], mark, needs(kind), first_line(kind.__doc__))
        for kind, mark in zip(kinds, headline, strict=True)
    ]
    entries = [
        {
            "name": kind.name,
            "unit": kind.unit,
            "direction": kind.direction,
            "headline": bool(mark),
            "needs": needs(kind),
            "description": first_line(kind.__doc__),
        }
        for kind, mark in zip(kinds, headline, strict=True)
    ]
    return list_answer(entries, rows)


@verb("methods", words="[NAME|FAMILY] [plugins=FILE]")
def _methods(arguments: list[str]) -> VerbAnswer | None:
    """List the methods or a family, or explain one."""
    from kdbench.methods import FAMILIES, methods

    words = load_named_plugins(arguments)
    used = {methods.get(name).family for name in methods.names()}
    families = [family for family in FAMILIES if family in used]
    is_family = len(words) == 1 and words[0] in families and words[0] not in methods.names()
    if not is_family and explained("methods", words):
        return None

    entries: list[dict[str, Any]] = []
    for name in methods.names():
        method = methods.get(name)
        if is_family and method.family != words[0]:
            continue
        parts = dict(method().describe())
        facts = {"name": name, "family": method.family, "description": first_line(method.__doc__)}
        entries.append({**facts, "parts": parts})
    entries.sort(key=lambda entry: list(FAMILIES).index(entry["family"]))

    def show() -> None:
        width = output_width()
        for line in family_lines(entries, FAMILIES, width):
            say(line)
        note = (
            "kdbench methods NAME explains one, with its keys; kdbench methods FAMILY lists a "
            f"family: {', '.join(families)}"
        )
        for line in ["", *wrapped(note, width, "  ")]:
            say(line)

    return VerbAnswer(show, lambda: {"entries": entries})


@verb("backends", words="[NAME] [plugins=FILE]")
def _backends(arguments: list[str]) -> VerbAnswer | None:
    """List the backends, or explain the one that is named."""
    if explained("backends", load_named_plugins(arguments)):
        return None
    from kdbench.generate import backends

    rows = [(name, first_line(backends.get(name).__doc__)) for name in backends.names()]
    return _listed(("name", "description"), rows)


@verb("protocols", words="[NAME]")
def _protocols(arguments: list[str]) -> VerbAnswer | None:
    """List the protocols, or explain the one that is named."""
    if explained("protocols", arguments):
        return None
    from kdbench.protocol import PROTOCOLS

    def show() -> None:
        for protocol in PROTOCOLS.values():
            fields = {key: value for key, value in protocol.as_dict().items() if key != "name"}
            pairs = (f"{key}={plain(value)}" for key, value in fields.items())
            for line in wrapped(f"{protocol.name}: {' '.join(pairs)}", output_width(), "  "):
                say(line)

    return VerbAnswer(show, lambda: {"entries": [known.as_dict() for known in PROTOCOLS.values()]})


@verb("published", words="[METHOD]")
def _published(arguments: list[str]) -> VerbAnswer:
    """List published settings, or what papers report of a method."""
    from kdbench.tables.published import read_published
    from kdbench.tables.spread import method_spreads, spread_text

    published = read_published(None)
    if not arguments:
        rows = [
            (
                setting.id,
                counted(len(setting.rows), "row"),
                counted(len({row.source for row in setting.rows}), "source"),
                setting.title,
            )
            for setting in published.settings
        ]
        note = "kdbench published METHOD shows how far papers disagree on it"
        return _listed(("setting", "rows", "sources", "title"), rows, [note])
    name, *more = arguments
    if more:
        raise InputError(f"'{more[0]}': give one method, in quotes if its name has spaces")
    names = {row.name for setting in published.settings for row in setting.rows}
    method = next((known for known in names if known.casefold() == name.casefold()), None)
    if method is None:
        short = {known for known in names if "(" not in known}
        raise InputError(f"'{name}': no such published method: {nearest(name, short)}")
    found = [
        (row, task, spread)
        for row in method_spreads(least_sources=1)
        if row.method == method
        for task, spread in row.by_column.items()
    ]
    entries = [
        {
            "setting": row.setting_id,
            "task": task,
            "sources": spread.sources,
            "scores": spread.scores,
            "range": round(spread.range, 6),
        }
        for row, task, spread in found
    ]
    rows = [
        (row.setting_id, task, counted(len(spread.sources), "source"), spread_text(spread))
        for row, task, spread in found
    ]
    note = "lowest to highest score, with the range in parentheses; none is from memory"
    return list_answer(entries, rows, [note])


def _listed(
    keys: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> VerbAnswer:
    entries = [dict(zip(keys, row, strict=True)) for row in rows]
    return list_answer(entries, rows, notes)


def explained(kind: str, arguments: list[str]) -> bool:
    """Print the lines on the part that is named; return whether one is.

    Args:
        kind: Kind of the parts, as the verb that lists them is called.
        arguments: The words after the verb.
    """
    name = only_name(arguments, "NAME")
    if name is None:
        return False
    from kdbench.cli.look.explain import explain

    for line in explain(kind, name):
        say(line)
    return True

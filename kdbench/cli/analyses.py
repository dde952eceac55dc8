"""The verbs of analyses: `analyse NAME`, and the list."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.app import EXIT_FAILED, verb
from kdbench.cli.shown.listing import list_answer
from kdbench.config.words import key_of
from kdbench.errors import InputError, nearest
from kdbench.system.console import say
from kdbench.system.layout import output_width

if TYPE_CHECKING:
    from kdbench.analyses import Analysis
    from kdbench.analyses.core.run import Analysed


@verb(
    "analyse",
    words="[NAME]",
    parts="kdbench.analyses:analyses",
    example="teacher_hacking workers=2",
    group="Conclude",
)
def _analyse(arguments: list[str]) -> VerbAnswer:
    """Answer a question of the literature with a table and a figure.

    It trains and measures what is missing, on the toy world or on models of your own, and then
    concludes. Run the same command again after an interruption, and it resumes. Without a NAME it
    lists the analyses; kdbench analyse NAME --help shows the keys of one.
    """
    from kdbench.registry.plugins import load_named_plugins

    load_named_plugins(arguments)
    if not arguments or key_of(arguments[0]) is not None:
        return _list(arguments)
    from kdbench.config.fill import parse_with_changes

    analysis = parse_with_changes(_kind(arguments[0]), arguments[1:])
    from kdbench.analyses.core.run import analyse
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()
    return analysis_answer(analyse(analysis))


@verb("analyses", words="[NAME] [plugins=FILE]")
def _analyses(arguments: list[str]) -> VerbAnswer | None:
    """List the analyses, or explain one."""
    from kdbench.cli.app import show_help
    from kdbench.registry.plugins import load_named_plugins

    load_named_plugins(arguments)
    if arguments and key_of(arguments[0]) is None:
        _kind(arguments[0])
        show_help("analyse", arguments)
        return None
    return _list(arguments)


def analysis_answer(done: "Analysed") -> VerbAnswer:
    """The answer of `analyse`.

    Args:
        done: The outcome.
    """
    if done.conclusion is None:
        lines = done.notes.splitlines()
        document = {"dry_run": not done.failed, "failed": done.failed or {}, "lines": lines}
        show = partial(_say_lines, lines)
        return VerbAnswer(show, lambda: document, EXIT_FAILED if done.failed else 0)
    conclusion = done.conclusion

    def show_conclusion() -> None:
        from kdbench.reports.conclusions import terminal_lines

        _say_lines([*terminal_lines(conclusion, output_width()), f"written to {done.files[0]}"])

    found = {"files": list(done.files), "conclusion": conclusion.as_json()}
    return VerbAnswer(show_conclusion, lambda: found)


def _say_lines(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)


def _kind(name: str) -> "type[Analysis]":
    from kdbench.analyses import analyses

    if name not in analyses.names():
        raise InputError(f"unknown analysis '{name}': {nearest(name, analyses.names())}")
    return analyses.get(name)


def _list(arguments: Sequence[str]) -> VerbAnswer:
    from kdbench.analyses import analyses

    for word in arguments:
        if key_of(word) != "plugins":
            raise InputError(f"'{word}': name an analysis first: {', '.join(analyses.names())}")
    kinds = {name: analyses.get(name) for name in analyses.names()}
    entries = [
        {"name": name, "title": kind.title, "question": kind.question, "paper": kind.paper}
        for name, kind in kinds.items()
    ]
    rows = [(entry["name"], f"{entry['question']} ({entry['paper']})") for entry in entries]
    note = "kdbench analyse NAME runs one; kdbench analyse NAME --help shows its keys"
    return list_answer(entries, rows, [note])

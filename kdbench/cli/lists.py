"""The verbs that list what is installed: tasks, metrics, methods, backends and protocols."""

import os
import sys
from pathlib import Path
from typing import Any

from kdbench.cli.app import app, show_help, verb
from kdbench.cli.help import first_line, plain
from kdbench.errors import InputError
from kdbench.system.console import say
from kdbench.text import aligned


@verb("ls", "kdbench.config.look:LsSettings", "runs results=results model=gkd")
def _ls(arguments: list[str]) -> None:
    """List what there is: runs, recipes, tables and baselines.

    Runs come newest first, with their tasks that are done, their main score and their state.
    """
    from kdbench.cli.look.ls import ls_lines
    from kdbench.config import parse
    from kdbench.config.look import LsSettings

    for line in ls_lines(parse(LsSettings, arguments)):
        say(line)


@verb("show", "kdbench.config.look:ShowSettings", "student")
def _show(arguments: list[str]) -> None:
    """Show one run, baseline, recipe or table with all its settings.

    A run is shown with its protocol, its numbers and intervals, the machine, the command that
    measures the same, and its files.
    """
    from kdbench.cli.look.show import show_lines
    from kdbench.config import parse
    from kdbench.config.look import ShowSettings

    for line in show_lines(parse(ShowSettings, arguments)):
        say(line)


@verb("tasks", words="[NAME]")
def _tasks(arguments: list[str]) -> None:
    """List the tasks, or explain the one that is named."""
    if _explained("tasks", arguments):
        return
    from kdbench.task import TITLES, known_tasks

    _list([(name, TITLES.get(name, ""), str(path)) for name, path in known_tasks().items()])
    say("lm-eval's own tasks, groups and tags: tasks=lm_eval:NAME, such as lm_eval:arc_easy")


@verb("metrics", words="[NAME]")
def _metrics(arguments: list[str]) -> None:
    """List the metrics, or explain the one that is named."""
    if _explained("metrics", arguments):
        return
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
    _list(
        [
            (
                kind.name,
                kind.unit,
                better[kind.direction],
                mark,
                needs(kind),
                first_line(kind.__doc__),
            )
            for kind, mark in zip(kinds, headline, strict=True)
        ]
    )


@verb("methods", words="[NAME]")
def _methods(arguments: list[str]) -> None:
    """List the methods, or explain the one that is named."""
    if _explained("methods", arguments):
        return
    from kdbench.methods import methods

    for name in methods.names():
        method = methods.get(name)
        say(f"{name}  {first_line(method.__doc__)}")
        _list([("", field, text) for field, text in method().describe().items()])


@verb("backends", words="[NAME]")
def _backends(arguments: list[str]) -> None:
    """List the backends, or explain the one that is named."""
    if _explained("backends", arguments):
        return
    from kdbench.generate import backends

    _list([(name, first_line(backends.get(name).__doc__)) for name in backends.names()])


@verb("protocols", words="[NAME]")
def _protocols(arguments: list[str]) -> None:
    """List the protocols, or explain the one that is named."""
    if _explained("protocols", arguments):
        return
    from kdbench.protocol import PROTOCOLS

    for protocol in PROTOCOLS.values():
        fields = {key: value for key, value in protocol.as_dict().items() if key != "name"}
        pairs = (f"{key}={plain(value)}" for key, value in fields.items())
        say(f"{protocol.name}: {' '.join(pairs)}")


@verb(
    "completion", words="SHELL", example="bash > ~/.local/share/bash-completion/completions/kdbench"
)
def _completion(arguments: list[str]) -> None:
    """Print the completion script of a shell: bash, zsh or fish.

    Write it to a file that the shell reads at its start. In bash:
    ~/.local/share/bash-completion/completions/kdbench. In zsh: _kdbench, in a folder of $fpath. In
    fish: ~/.config/fish/completions/kdbench.fish.
    """
    from kdbench.cli.completion.scripts import SCRIPTS

    shell = Path(_only_name(arguments, "SHELL") or os.environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        raise InputError(f"'{shell}': name a shell: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shell])


@verb("help", words="[VERB]")
def _help(arguments: list[str]) -> None:
    """Show the help of a verb, as kdbench VERB -h does."""
    if arguments:
        show_help(arguments[0], arguments[1:])
    else:
        app(["--help"], prog_name="kdbench", standalone_mode=False)


def _only_name(arguments: list[str], what: str) -> str | None:
    """The word after the verb, if there is one.

    Raises:
        InputError: There are several, or one is a key.
    """
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        raise InputError(f"'{arguments[-1]}': this command takes {what} only")
    return arguments[0] if arguments else None


def _explained(kind: str, arguments: list[str]) -> bool:
    """Print the lines on the part that is named; return whether one is."""
    name = _only_name(arguments, "NAME")
    if name is None:
        return False
    from kdbench.cli.look.explain import explain

    for line in explain(kind, name):
        say(line)
    return True


def _list(rows: list[tuple[str, ...]]) -> None:
    for line in aligned(rows, left=range(len(rows[0]))):
        say(line)

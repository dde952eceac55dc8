"""The verbs that find things: runs, help, and what a shell completes."""

import os
import sys
from pathlib import Path

from kdbench.cli.app import app, show_help, verb
from kdbench.errors import InputError
from kdbench.system.console import say


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

    shell = Path(only_name(arguments, "SHELL") or os.environ.get("SHELL", "")).name
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


def only_name(arguments: list[str], what: str) -> str | None:
    """The word after the verb, if there is one.

    Raises:
        InputError: There are several, or one is a key.
    """
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        raise InputError(f"'{arguments[-1]}': this command takes {what} only")
    return arguments[0] if arguments else None

"""The Typer app, the decorator that adds a verb to it, and exit codes.

A verb takes words with and without keys; its keys are the fields of its settings class. Nothing
heavy is imported before a verb runs.
"""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kdbench.cli.answer import Run, VerbAnswer, give, with_json
from kdbench.cli.help import VerbHelp, first_line, help_lines
from kdbench.errors import InputError
from kdbench.system.console import escape_unencodable, say
from kdbench.system.secrets import without_logins
from kdbench.system.shown_places import with_urls
from kdbench.text import printable, with_short_words

EXIT_STALE, EXIT_INPUT, EXIT_FAILED, EXIT_INTERNAL, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

_GROUPS = ("Measure", "Make", "Conclude", "Pass on", "Look up")


class VerbGroup(TyperGroup):
    """All verbs; the help lists them under headings."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a section for each heading, with a line for each verb."""
        longest = max(map(len, self.commands))
        for group in _GROUPS:
            rows = [
                (name.ljust(longest), command.help or "")
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group and not command.hidden
            ]
            with formatter.section(group):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb; an unknown one is a line like that of any other error."""
        if args[0] not in self.commands:
            raise typer.Exit(_report_error(_unknown(args[0], self.commands), EXIT_INPUT))
        return super().resolve_command(ctx, args)


class WordsCommand(TyperCommand):
    """A verb, which reads all of its words itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave the words as they are, `--` among them."""
        ctx.args = args
        return args


app = typer.Typer(
    cls=VerbGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark distilled language-model students and compare them in one table.\n\n"
    "Arguments are written key=value or --key value, and config=FILE.yaml can hold more of them. "
    "Run `kdbench VERB -h` for the keys of a verb.",
)

helps: dict[str, VerbHelp] = {}
"""What the help of each verb is made from, by name."""


@app.callback()
def _options(
    version: bool = typer.Option(
        False,
        "--version",
        "-V",
        help="Show the version and exit.",
        is_eager=True,
        callback=lambda given: _show_version() if given else None,
    ),
) -> None:
    """The options before a verb."""


def _show_version() -> None:
    from kdbench.version import __version__

    say(f"kdbench {__version__}")
    raise typer.Exit


def verb(
    name: str,
    settings: str | None = None,
    example: str | None = None,
    words: str = "",
    group: str = "Look up",
    parts: str | None = None,
) -> Callable[[Run], Run]:
    """Add a function to the command line as a verb.

    The first line of its docstring is the verb's summary.

    Args:
        name: Name on the command line.
        settings: Class whose fields are the verb's keys, in `kdbench.config` or as `module:Class`;
            None for a verb without keys.
        example: Arguments of an example command.
        words: Words without a key that the verb takes first, such as "eval|train" (default: the
            names of the keys that may come first).
        group: Heading of the verb in `kdbench --help`.
        parts: Registry, as `module:name`, of the classes that the first word names, whose fields
            are then the keys.
    """

    def add(run: Run) -> Run:
        helps[name] = VerbHelp(name, run.__doc__ or "", settings, example, words, parts)

        def command(context: typer.Context) -> None:
            words = list(context.args)
            options = words[: words.index("--")] if "--" in words else words
            if {"--help", "-h"} & set(options):
                words = [word for word in words if word not in ("--help", "-h")]
                raise typer.Exit(guarded(lambda words: show_help(name, words), words))
            raise typer.Exit(guarded(with_json(run, name, settings), words))

        app.command(
            name,
            cls=WordsCommand,
            help=first_line(run.__doc__),
            rich_help_panel=group,
            add_help_option=False,
        )(command)
        return run

    return add


def show_help(name: str, words: Sequence[str]) -> None:
    """Print the help of a verb.

    Args:
        name: Name of the verb.
        words: Other words of the command line; `method=NAME` adds that method's keys.

    Raises:
        InputError: There is no such verb or method.
    """
    if name not in helps:
        raise InputError(_unknown(name, helps))
    for line in help_lines(helps[name], words):
        say(line)


def _unknown(name: str, known: Collection[str]) -> str:
    from kdbench.config.other_names import nearest_verb

    return f"unknown verb '{name}': {nearest_verb(name, known)}"


def guarded(run: Run, arguments: list[str]) -> int:
    """Run a verb, print its answer and return its exit code; an error is one line on stderr.

    The traceback of an unexpected error goes to a log, and its exit code is that of no result.
    """
    escape_unencodable()
    try:
        answer = run(arguments)
        return give(answer) if isinstance(answer, VerbAnswer) else answer or 0
    except InputError as error:
        return _report_error(str(error), EXIT_INPUT)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - so that nothing is flushed at exit
        return 0
    except OSError as error:  # a full disk, or a folder without write permission
        return _report_error(f"{error.filename or 'write'}: {error.strerror or error}", EXIT_INPUT)
    except KeyboardInterrupt:
        return _report_error("interrupted; run the same command to resume", EXIT_INTERRUPTED)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - Python's exit code 1 has a meaning
        from kdbench.system.crashes import describe_crash, log_crash

        place = log_crash(error)
        return _report_error(f"internal error: {describe_crash(error)} ({place})", EXIT_INTERNAL)


def _report_error(line: str, code: int) -> int:
    text = printable(without_logins(with_urls(" ".join(line.split()))))
    sys.stderr.write(f"kdbench: {with_short_words(text)}\n")
    return code

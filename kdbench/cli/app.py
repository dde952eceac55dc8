"""The Typer app, the decorator that adds a verb to it, and exit codes.

A verb takes `key=value` words; its keys are the fields of its settings class. Nothing heavy is
imported before a verb runs.
"""

import os
import sys
from collections.abc import Callable

import typer

from kdbench.cli.answer import Run, VerbAnswer, give, with_json
from kdbench.cli.help import VerbHelp, first_line, help_lines
from kdbench.errors import InputError
from kdbench.system.console import escape_unencodable, say
from kdbench.system.secrets import without_logins
from kdbench.text import printable, with_short_words

EXIT_STALE, EXIT_INPUT, EXIT_FAILED, EXIT_INTERNAL, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Benchmark distilled language-model students and compare them in one table.\n\n"
    "Arguments are key=value words, and config=FILE.yaml can hold more of them. Run `kdbench VERB "
    "--help` for the keys of a verb.",
)


def verb(
    name: str, settings: str | None = None, example: str | None = None, words: str = ""
) -> Callable[[Run], Run]:
    """Add a function to the command line as a verb.

    The first line of its docstring is the verb's summary.

    Args:
        name: Name on the command line.
        settings: Class whose fields are the verb's keys, in `kdbench.config` or as `module:Class`;
            None for a verb without keys.
        example: Arguments of an example command.
        words: Words without a key that the verb takes first, such as "BASE NEW".
    """

    def add(run: Run) -> Run:
        help_of_verb = VerbHelp(name, run.__doc__ or "", settings, example, words)

        def show_help(words: list[str]) -> None:
            for line in help_lines(help_of_verb, words):
                say(line)

        def command(context: typer.Context) -> None:
            words = [word for word in context.args if word not in ("--help", "-h")]
            action = with_json(run, name, settings) if words == context.args else show_help
            raise typer.Exit(guarded(action, words))

        app.command(
            name,
            help=first_line(run.__doc__),
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            add_help_option=False,
        )(command)
        return run

    return add


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
    text = printable(without_logins(" ".join(line.split())))
    sys.stderr.write(f"kdbench: {with_short_words(text)}\n")
    return code

"""The door: `kdbench VERB key=value …`.

Every verb's keys are the fields of its settings; nothing heavy is imported before a verb runs.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from kdbench.cli.help import first_line, help_lines, plain
from kdbench.errors import InputError
from kdbench.system.console import say

EXIT_STALE, EXIT_INPUT, EXIT_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure distilled language-model students, and fill their comparison table.\n\n"
    "Arguments are key=value; config=FILE.yaml holds more of them; `kdbench VERB --help` lists "
    "a verb's keys.",
)

Verb = Callable[[list[str]], int | None]


def verb(name: str, settings: str | None = None) -> Callable[[Verb], Verb]:
    """Make a function a verb.

    Args:
        name: on the command line.
        settings: the class whose fields are the verb's keys, in `kdbench.config` or as
            `module:Class`.
    """

    def add(run: Verb) -> Verb:
        def command(context: typer.Context) -> None:
            if {"--help", "-h"} & set(context.args):
                words = [word for word in context.args if word not in ("--help", "-h")]
                raise typer.Exit(_guarded(_telling(name, run.__doc__ or "", settings), words))
            raise typer.Exit(_guarded(run, context.args))

        app.command(
            name,
            help=first_line(run.__doc__),
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
            add_help_option=False,
        )(command)
        return run

    return add


@verb("eval", "EvalSettings")
def _eval(arguments: list[str]) -> None:
    """Measure a checkpoint: model=… data=…; the same command again goes on where it stopped."""
    from kdbench.config import EvalSettings, parse
    from kdbench.evaluation import evaluate

    settings = parse(EvalSettings, arguments)
    _quiet()
    from kdbench.cli.printing import print_evaluation

    print_evaluation(evaluate(settings))


@verb("score", "ScoreSettings")
def _score(arguments: list[str]) -> None:
    """Measure texts made elsewhere: samples=FILE task=NAME; or a stored run again: run=FOLDER."""
    from kdbench.config import ScoreSettings, parse
    from kdbench.measuring.given_texts import score

    settings = parse(ScoreSettings, arguments)
    _quiet()
    from kdbench.cli.printing import print_evaluation

    print_evaluation(score(settings))


@verb("train", "TrainSettings")
def _train(arguments: list[str]) -> None:
    """Train a student: method=… student=… teacher=… data=…; the same command again goes on."""
    from kdbench.distillation.recipe import parse_recipe

    recipe = parse_recipe(arguments)
    _quiet()
    from kdbench.distillation.train import train

    trained = train(recipe)
    if os.environ.get("RANK", "0") == "0":  # one process of a distributed run speaks
        from kdbench.cli.printing import print_training

        print_training(trained)


@verb("table", "TableSettings")
def _table(arguments: list[str]) -> int:
    """Draw the comparison table from results and published numbers; --check for CI."""
    from kdbench.config import TableSettings, parse
    from kdbench.system.files import put_text
    from kdbench.tables import build_table
    from kdbench.tables.write import form_of, stale_diff, whole_file

    settings = parse(TableSettings, arguments)
    form = form_of(settings.out, settings.format)
    if settings.check and settings.out is None:
        raise InputError("check=true needs out=FILE, the table to compare with")
    text = build_table(settings).render(form)
    if settings.out is None:
        sys.stdout.write(text)
        return 0
    text = whole_file(settings.out, form, text, settings.block)
    diff = stale_diff(settings.out, text)
    if settings.check:
        sys.stdout.write(diff)
        return EXIT_STALE if diff else 0
    if diff:
        put_text(settings.out, text)
    say(f"{settings.out}: {'written' if diff else 'up to date'}")
    return 0


@verb("compare", "kdbench.comparing.settings:CompareSettings")
def _compare(arguments: list[str]) -> int:
    """Compare two runs on the same prompts: compare BASE NEW; exit 1 where NEW regressed."""
    from kdbench.comparing.compare import parse_compare, run_compare

    return run_compare(parse_compare(arguments))


@verb("regress", "kdbench.comparing.settings:RegressSettings")
def _regress(arguments: list[str]) -> int:
    """Gate a checkpoint: model=… baseline=…; exit 1 where it regressed; --update writes one."""
    from kdbench.comparing.regress import run_regress
    from kdbench.comparing.settings import RegressSettings
    from kdbench.config import parse

    settings = parse(RegressSettings, arguments)
    _quiet()
    return run_regress(settings)


@verb("plan", "kdbench.comparing.settings:PlanSettings")
def _plan(arguments: list[str]) -> None:
    """How many prompts and seeds a gate needs: run=… tolerance=0.5."""
    from kdbench.comparing.plan import plan
    from kdbench.comparing.settings import PlanSettings
    from kdbench.config import parse

    sys.stdout.write(str(plan(parse(PlanSettings, arguments))))


@verb("report", "ReportSettings")
def _report(arguments: list[str]) -> None:
    """Draw how good students are beside how faithful: results=… baseline=… out=…."""
    from kdbench.config import ReportSettings, parse
    from kdbench.reports import make_report
    from kdbench.reports.correlations import correlation_line

    settings = parse(ReportSettings, arguments)
    report = make_report(settings)
    for file in report.files:
        say(str(file))
    for line in report.findings.left_out:
        say(f"left out: {line}")
    for correlation in report.findings.correlations:
        say(f"Spearman correlation of {correlation_line(correlation)}")


@verb("fill", "FillSettings")
def _fill(arguments: list[str]) -> int:
    """Fill a table: fill TABLE.yaml; trains and measures what is missing; --plan only tells."""
    from kdbench.config.fill import parse_fill

    settings = parse_fill(arguments)
    _quiet()
    from kdbench.filling.table import fill

    filled = fill(settings)
    sys.stdout.write(filled.text)
    return EXIT_FAILED if filled.failed else 0


@verb("demo", "DemoSettings")
def _demo(arguments: list[str]) -> int:
    """Run the whole pipeline on the embedded toy world: no network, minutes on two cores."""
    from kdbench.config import DemoSettings, parse

    settings = parse(DemoSettings, arguments)
    _quiet()
    from kdbench.toy.demo import demo

    filled = demo(settings)
    sys.stdout.write(filled.text)
    return EXIT_FAILED if filled.failed else 0


@verb("tasks")
def _tasks(arguments: list[str]) -> None:
    """List the tasks that are installed, plug-ins included."""
    from kdbench.task import TITLES, known_tasks

    _no_arguments(arguments)
    _print_rows((name, TITLES.get(name, ""), str(path)) for name, path in known_tasks().items())


@verb("metrics")
def _metrics(arguments: list[str]) -> None:
    """List the metrics that are installed, plug-ins included."""
    from kdbench.metrics import PositionMetric, TeacherMetric, metrics

    def where(part: Any) -> str:
        if issubclass(part, PositionMetric):
            return " ".join(f"@{one}" for one in part.sets)
        return "beside a teacher" if issubclass(part, TeacherMetric) else ""

    _no_arguments(arguments)
    parts = [metrics.get(name) for name in metrics.names()]
    better = {"higher": "higher is better", "lower": "lower is better", "none": ""}
    _print_rows(
        (part.name, part.unit, better[part.direction], where(part), first_line(part.__doc__))
        for part in parts
    )


@verb("methods")
def _methods(arguments: list[str]) -> None:
    """List the distillation methods that are installed, plug-ins included."""
    from kdbench.methods import methods

    _no_arguments(arguments)
    for name in methods.names():
        method = methods.get(name)
        say(f"{name}  {first_line(method.__doc__)}")
        _print_rows([("", word, text) for word, text in method().describe().items()])


@verb("backends")
def _backends(arguments: list[str]) -> None:
    """List what can generate, plug-ins included."""
    from kdbench.generate import backends

    _no_arguments(arguments)
    _print_rows((name, first_line(backends.get(name).__doc__)) for name in backends.names())


@verb("protocols")
def _protocols(arguments: list[str]) -> None:
    """List the protocols and their fields."""
    from kdbench.protocol import PROTOCOLS

    _no_arguments(arguments)
    for protocol in PROTOCOLS.values():
        fields = {key: value for key, value in protocol.as_dict().items() if key != "name"}
        words = (f"{key}={plain(value)}" for key, value in fields.items())
        say(f"{protocol.name}: {' '.join(words)}")


def main() -> None:
    """The console script."""
    app()


def _guarded(run: Verb, arguments: list[str]) -> int:
    """Run a verb; what the user can mend is one line and exit code 2."""
    try:
        return run(arguments) or 0
    except InputError as error:
        return _complain(str(error), EXIT_INPUT)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - so that the exit flushes nowhere
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        return _complain(f"{error.filename or 'write'}: {error.strerror or error}", EXIT_INPUT)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from here", EXIT_INTERRUPTED)


def _complain(line: str, code: int) -> int:
    sys.stderr.write(f"kdbench: {' '.join(line.split())}\n")
    return code


def _telling(name: str, summary: str, settings: str | None) -> Verb:
    def tell(words: list[str]) -> None:
        for line in help_lines(name, summary, settings, words):
            say(line)

    return tell


def _print_rows(rows: Any) -> None:
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _no_arguments(arguments: list[str]) -> None:
    if arguments:
        raise InputError(f"'{arguments[0]}': this verb takes no arguments")


def _quiet() -> None:
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()

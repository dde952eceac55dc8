"""The verbs for other tools' files: card, push, export and import of results, and data."""

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.app import verb
from kdbench.system.console import say

_SETTINGS = "kdbench.exchange.settings"


@verb(
    "card",
    f"{_SETTINGS}:CardSettings",
    "student checkpoint=path/to/student license=apache-2.0 out=README.md",
    group="Pass on",
)
def _card(arguments: list[str]) -> None:
    """Write a Hugging Face model card with the results of a run.

    RUN is the value of run=. In a card that exists, only the part between kdbench's markers and
    kdbench's results in the metadata are replaced.
    """
    from kdbench.config import parse
    from kdbench.exchange.hub.card import write_card
    from kdbench.exchange.settings import CardSettings
    from kdbench.system.outputs import is_stream

    settings = parse(CardSettings, arguments)
    written = write_card(settings)
    if not is_stream(settings.out):
        for file in written.files:
            say(f"{file}: {'written' if written.changed else 'up to date'}")


@verb(
    "push",
    f"{_SETTINGS}:PushSettings",
    "student repo=my-org/my-student checkpoint=path/to/student --dry-run",
    group="Pass on",
)
def _push(arguments: list[str]) -> None:
    """Upload a run's card, results and checkpoint to the Hub.

    RUN is the value of run=. Without checkpoint= only the card and the results go.
    """
    from kdbench.config import parse
    from kdbench.exchange.hub.push import outline, push
    from kdbench.exchange.settings import PushSettings

    settings = parse(PushSettings, arguments)
    if settings.dry_run:
        from kdbench.cli.outline import outline_lines

        for line in outline_lines(outline(settings)):
            say(line)
        return
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()
    say(f"pushed: {push(settings)}")


@verb("export", f"{_SETTINGS}:ExportSettings", "student out=lm_eval_results", group="Pass on")
def _export(arguments: list[str]) -> None:
    """Write a run as results and samples of lm-evaluation-harness.

    RUN is the value of run=.
    """
    from kdbench.config import parse
    from kdbench.exchange.lm_eval.write import export_run
    from kdbench.exchange.settings import ExportSettings

    for file in export_run(parse(ExportSettings, arguments)):
        say(str(file))


@verb("import", f"{_SETTINGS}:ImportSettings", "path/to/results_2026-01-31.json", group="Pass on")
def _import(arguments: list[str]) -> None:
    """Store results of lm-evaluation-harness as a run.

    Table, compare and report then know them. FILE is the value of file=. Samples that lie next to
    it give intervals and texts.
    """
    from kdbench.config import parse
    from kdbench.exchange.lm_eval.read import import_run
    from kdbench.exchange.settings import ImportSettings

    imported = import_run(parse(ImportSettings, arguments))
    for line in imported.lines():
        say(line)


@verb("data", f"{_SETTINGS}:DataSettings", "path/to/minillm/data out=path/to/data", group="Make")
def _data(arguments: list[str]) -> VerbAnswer:
    """Turn the papers' data files into a folder for data=.

    SOURCE is the value of source=. Texts stay as they are. Ids are those of their sources, so that
    runs on any copy of a set compare prompt by prompt.
    """
    from kdbench.config import parse
    from kdbench.exchange.papers.convert import convert
    from kdbench.exchange.settings import DataSettings

    settings = parse(DataSettings, arguments)
    from kdbench.cli.shown.converted import converted_answer

    return converted_answer(convert(settings), settings.dry_run)

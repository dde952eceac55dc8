"""The papers' data in their new folder."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import command
from kdbench.cli.shown.listing import list_lines
from kdbench.system.console import say
from kdbench.system.layout import output_width, wrapped
from kdbench.text import counted, printable

if TYPE_CHECKING:
    from kdbench.exchange.papers.convert import ConvertedData

_CONTENT = {True: "the papers' rows", False: "not the papers' rows", None: ""}


def converted_answer(converted: "ConvertedData", dry_run: bool) -> VerbAnswer:
    """The answer of `data`.

    Args:
        converted: The files.
        dry_run: Whether nothing was written.
    """
    following = "" if dry_run else command("fill", table="gpt2-120m", data=converted.out)
    return VerbAnswer(
        partial(_show, converted, dry_run),
        partial(_document, converted, dry_run),
        following=following,
    )


def _show(converted: "ConvertedData", dry_run: bool) -> None:
    rows = [
        (
            file.name,
            counted(len(file.rows), "row"),
            _CONTENT[file.of_papers],
            f"from {file.source}",
        )
        for file in converted.files
    ]
    for line in list_lines(rows, output_width()):
        say(line)
    for line in _notes(converted):
        for part in wrapped(printable(line), output_width(), "  "):
            say(part)
    new = counted(len(converted.written), "new file")
    say("dry run: nothing was written" if dry_run else f"{converted.out}: {new}")


def _notes(converted: "ConvertedData") -> list[str]:
    notes = [f"note: {file.name}: {note}" for file in converted.files for note in file.notes]
    absent = ", ".join(converted.absent)
    return [*notes, *[f"note: not in the source: {absent}"] * bool(absent)]


def _document(converted: "ConvertedData", dry_run: bool) -> dict[str, Any]:
    files = [
        {
            "file": file.name,
            "rows": len(file.rows),
            "source": file.source,
            "of_papers": file.of_papers,
            "notes": file.notes,
        }
        for file in converted.files
    ]
    return {
        "out": converted.out,
        "files": files,
        "absent": converted.absent,
        "written": converted.written,
        "dry_run": dry_run,
    }

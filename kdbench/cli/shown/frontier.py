"""What `kdbench frontier` prints."""

from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer
from kdbench.system.console import say, say_styled
from kdbench.system.layout import output_width
from kdbench.system.outputs import STANDARD_OUTPUT, put_output

if TYPE_CHECKING:
    from kdbench.frontiers.table import Frontier


def frontier_answer(frontier: "Frontier", form: str) -> VerbAnswer:
    """The answer of `frontier`.

    Args:
        frontier: The frontier.
        form: Form in which it is printed.
    """
    from kdbench.frontiers.table import document

    def show() -> None:
        put_output(STANDARD_OUTPUT, frontier.render(form))

    shown = partial(_print, frontier) if form == "terminal" else show
    return VerbAnswer(shown, lambda: document(frontier.record))


def _print(frontier: "Frontier") -> None:
    from kdbench.frontiers.table import frontier_lines

    for line in frontier_lines(frontier.record, output_width()):
        say_styled(line)
    say(f"figures and numbers in {frontier.folder}")

"""What `kdbench frontier` prints."""

from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.shown.table import print_lines
from kdbench.system.console import say
from kdbench.system.outputs import STANDARD_OUTPUT, put_output

if TYPE_CHECKING:
    from kdbench.frontiers.table import Frontier


def frontier_answer(frontier: "Frontier", form: str) -> VerbAnswer:
    """The answer of `frontier`.

    Args:
        frontier: The frontier.
        form: Form in which it is printed.
    """

    def show() -> None:
        put_output(STANDARD_OUTPUT, frontier.render(form))

    shown = partial(_print, frontier) if form == "terminal" else show
    return VerbAnswer(shown, frontier.json_value)


def _print(frontier: "Frontier") -> None:
    print_lines(frontier)
    say(f"figures and numbers in {frontier.folder}")

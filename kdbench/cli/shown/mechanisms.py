"""The table of mechanisms, of `fill` and of `mechanisms`."""

from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer
from kdbench.system.console import say_styled
from kdbench.system.layout import output_width
from kdbench.system.outputs import STANDARD_OUTPUT, put_output

if TYPE_CHECKING:
    from kdbench.filling.mechanism_table import MechanismTable


def mechanisms_answer(table: "MechanismTable", form: str) -> VerbAnswer:
    """The answer of `mechanisms`.

    Args:
        table: The table.
        form: Form in which it is printed.
    """
    from kdbench.filling.mechanism_table import notes, records

    def show() -> None:
        put_output(STANDARD_OUTPUT, table.render(form))

    document = {"title": table.title, "rows": records(table), "notes": notes(table)}
    shown = partial(print_mechanisms, table) if form == "terminal" else show
    return VerbAnswer(shown, lambda: document)


def print_mechanisms(table: "MechanismTable") -> None:
    """Print the table on standard output; on a terminal it fits."""
    from kdbench.filling.mechanism_table import mechanism_lines

    for line in mechanism_lines(table, output_width()):
        say_styled(line)

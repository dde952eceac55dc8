"""The table of mechanisms, of `fill` and of `mechanisms`."""

from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.shown.table import print_lines
from kdbench.system.outputs import STANDARD_OUTPUT, put_output

if TYPE_CHECKING:
    from kdbench.filling.mechanism_table import MechanismTable


def mechanisms_answer(table: "MechanismTable", form: str) -> VerbAnswer:
    """The answer of `mechanisms`.

    Args:
        table: The table.
        form: Form in which it is printed.
    """
    from kdbench.filling.mechanism_table import notes

    def show() -> None:
        put_output(STANDARD_OUTPUT, table.render(form))

    document = {"title": table.title, "rows": table.records(), "notes": notes(table)}
    shown = partial(print_lines, table) if form == "terminal" else show
    return VerbAnswer(shown, lambda: document)

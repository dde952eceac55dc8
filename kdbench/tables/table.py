"""The comparison table: its content, and how to draw it."""

from dataclasses import dataclass

from kdbench.tables.model import Content
from kdbench.tables.render import render


@dataclass(frozen=True)
class Table(Content):
    """The comparison table; `print` shows it as the terminal does."""

    def __str__(self) -> str:
        return self.render("terminal")

    def render(self, form: str) -> str:
        """The table as `terminal`, `md`, `csv`, `tex` or `html`.

        Raises:
            InputError: another form.
        """
        return render(self, form)

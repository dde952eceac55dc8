"""A table for people and programs: on a terminal, in Markdown, as CSV and as JSON."""

import csv
import io
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.errors import InputError, nearest
from kdbench.system.layout import output_width
from kdbench.text import cell_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

FORMS = ("terminal", "md", "csv", "json")


class PrintedTable(ABC):
    """A table that draws itself in four forms; `print` shows it as a terminal does."""

    form_note: ClassVar[str] = ""
    """What an error about an unknown form says first, where other tables have more forms."""

    def __str__(self) -> str:
        return self.render("terminal", output_width())

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings of plain values; what is unknown is None."""

    @abstractmethod
    def lines(self, width: int | None) -> "list[Text]":
        """The lines on a terminal.

        Args:
            width: Columns of the terminal; None for no limit.
        """

    @abstractmethod
    def markdown(self) -> str:
        """The table in Markdown, which ends with a newline."""

    def json_value(self) -> Any:
        """The table as a JSON value."""
        return self.records()

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def render(self, form: str, width: int | None = None) -> str:
        """Draw the table.

        Args:
            form: `terminal`, `md`, `csv` or `json`.
            width: Columns of the terminal, for that form; None for no limit.

        Returns:
            The text, which ends with a newline.

        Raises:
            InputError: An unknown form.
        """
        if form not in FORMS:
            raise InputError(f"format={form}: {self.form_note}{nearest(form, FORMS)}")
        if form == "md":
            return self.markdown()
        if form == "csv":
            return _csv(self.records())
        if form == "json":
            return json.dumps(self.json_value(), indent=1, ensure_ascii=False) + "\n"
        return "".join(f"{line.plain}\n" for line in self.lines(width))


def _csv(records: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell_text(name) for name in records[0]] if records else [])
    for record in records:
        writer.writerow([_csv_cell(value) for value in record.values()])
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return cell_text(value) if isinstance(value, str) else value

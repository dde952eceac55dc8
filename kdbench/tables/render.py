"""The comparison table in its six forms; text from files is escaped for each form."""

import csv
import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError, nearest
from kdbench.system.layout import output_width
from kdbench.system.notebook import STYLE
from kdbench.tables.frame import table_frame
from kdbench.tables.model import Cell, Content, TableRow
from kdbench.tables.terminal import terminal_lines
from kdbench.tables.tex import escape_tex, with_macro
from kdbench.tables.tidy import of_provenance, tidy_json
from kdbench.text import cell_text, escape_md, printable, without_controls

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

FORMS = ("terminal", "md", "csv", "json", "tex", "html")


_NO_ROW = TableRow("", "reported", ranked=False, source="", cells=())


@dataclass(frozen=True, repr=False)
class Table(Content):
    """The comparison table; `print` shows it as a terminal does."""

    def __str__(self) -> str:
        return self.render("terminal", output_width())

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    def _repr_html_(self) -> str:
        text = _environment("html").get_template("cell.html.j2").render(table=self, style=STYLE)
        return text.rstrip("\n") + "\n"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the cells that hold a number as a tidy data frame, one a row."""
        return table_frame(self)

    def render(self, form: str, width: int | None = None) -> str:
        """Draw the table.

        Args:
            form: `terminal`, `md`, `csv`, `json`, `tex` or `html`.
            width: Columns of the terminal, for that form; None for no limit.

        Returns:
            The text, which ends with a newline.

        Raises:
            InputError: an unknown form.
        """
        if form == "terminal":
            return "".join(f"{line.plain}\n" for line in terminal_lines(self, width))
        if form == "csv":
            return _csv(self)
        if form == "json":
            return tidy_json(self)
        if form not in FORMS:
            raise InputError(f"format={form}: {nearest(form, FORMS)}")
        text = _environment(form).get_template(f"table.{form}.j2").render(table=self)
        text = text.rstrip("\n") + "\n"
        return with_macro(text) if form == "tex" else text


def escape_md_source(source: str) -> str:
    """Escape a source, `title, address`, for Markdown; the address stays whole, as a link."""
    title, _, address = source.rpartition(", ")
    if not address.startswith(("https://", "http://")) or "<" in address or ">" in address:
        return escape_md(source)
    return f"{escape_md(title)}, <{address}>"


def _marked(text: str, cell: Cell | None) -> str:
    return text if cell is None or not cell.mark else f"{text} {cell.mark}"


def _bold_md(text: str, cell: Cell | None) -> str:
    value, _, error = _marked(text, cell).partition(" ")
    return (
        f"**{value}** {error}".strip()
        if cell is not None and cell.best
        else f"{value} {error}".strip()
    )


def _bold_tex(text: str, cell: Cell | None) -> str:
    value, _, error = escape_tex(_marked(text, cell)).partition(" ")
    if cell is not None and cell.best:
        value = rf"\textbf{{{value}}}"
    return f"{value} {error}".strip()


def _bold_html(text: str, cell: Cell | None) -> Any:
    from markupsafe import Markup, escape

    value, _, error = _marked(text, cell).partition(" ")
    value = Markup("<b>{}</b>").format(value) if cell is not None and cell.best else escape(value)
    return value + Markup("<small>{}</small>").format(error) if error else value


def _html_line(text: str) -> Any:
    """Text as one line of HTML in Markdown, where an empty line would end the HTML."""
    from markupsafe import escape

    return escape(" ".join(printable(text).split()))


def _clean(value: Any) -> Any:
    """A value of a template, without control characters; markup, which is clean, as it is."""
    return without_controls(value) if type(value) is str else value


@cache
def _environment(form: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # LaTeX is full of braces, so its template has different delimiters.
    delimiters: dict[str, Any] = {}
    if form == "tex":
        delimiters = {
            "block_start_string": "(*",
            "block_end_string": "*)",
            "variable_start_string": "((",
            "variable_end_string": "))",
            "comment_start_string": "(#",
            "comment_end_string": "#)",
        }
    environment = Environment(
        loader=PackageLoader("kdbench.tables"),
        undefined=StrictUndefined,
        autoescape=form == "html",  # noqa: S701 - the other forms have their own filters
        finalize=_clean,
        trim_blocks=True,
        **delimiters,
    )
    environment.filters.update(
        md=escape_md,
        md_source=escape_md_source,
        html=_html_line,
        tex=escape_tex,
        bold=_bold_md,
        texbold=_bold_tex,
        htmlbold=_bold_html,
    )
    return environment


def _plain(value: Any) -> str:
    """A fact of a row as the text of a cell; of several, a list."""
    if isinstance(value, tuple):
        commands = any(" " in str(item) for item in value)
        return cell_text(("; " if commands else ", ").join(map(str, value)))
    return "" if value is None else cell_text(str(value))


def _csv(table: Content) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ["value", "ci_low", "ci_high", "sd", "n", "unverified", "second_hand", "best"]
    if any(cell.bound for cell in table.cells):
        fields.append("bound")
    columns = [column.rstrip(" ↑↓") for column in table.columns]
    names = [f"{column} {name}" for column in columns for name in fields]
    origins = [*of_provenance(_NO_ROW), "machine"]
    writer.writerow(["setting", "row", "kind", *map(cell_text, names), "source", "note", *origins])
    for group in table.groups:
        for row in group.rows:
            numbers = [
                "" if cell is None or getattr(cell, name) is None else getattr(cell, name)
                for cell in row.cells
                for name in fields
            ]
            texts = map(cell_text, (group.title, row.label, row.kind, row.source, row.note))
            title, label, kind, source, note = texts
            facts = {**of_provenance(row), "machine": row.machine}
            origin = [_plain(facts[name]) for name in origins]
            writer.writerow([title, label, kind, *numbers, source, note, *origin])
    return text.getvalue()

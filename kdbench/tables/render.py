"""A table as text of some form. What comes from files is escaped for the form."""

import csv
import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.registry import nearest
from kdbench.tables.model import Cell, Table

if TYPE_CHECKING:
    from jinja2 import Environment

FORMS = ("terminal", "md", "csv", "tex", "html")

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "†": r"$\dagger$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def render(table: Table, form: str) -> str:
    """The table as `terminal`, `md`, `csv`, `tex` or `html`; ends with a newline.

    Raises:
        InputError: another form.
    """
    if form == "terminal":
        return _terminal(table)
    if form == "csv":
        return _csv(table)
    if form not in FORMS:
        raise InputError(f"format={form}: {nearest(form, FORMS)}")
    text = _environment(form).get_template(f"table.{form}.j2").render(table=table)
    return text.rstrip("\n") + "\n"


def escape_md(text: str) -> str:
    """For a cell of a Markdown table: no markup, no markers, one line."""
    text = " ".join(text.split()).replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)


def escape_tex(text: str) -> str:
    """For LaTeX."""
    return "".join(_TEX.get(char, char) for char in text)


def _marked(text: str, cell: Cell | None) -> str:
    return f"{text} †" if cell is not None and cell.unverified else text


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


@cache
def _environment(form: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # TeX is full of braces, so its template has other delimiters.
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
        autoescape=form == "html",  # noqa: S701 - the other forms have filters of their own
        trim_blocks=True,
        **delimiters,
    )
    environment.filters.update(
        md=escape_md, tex=escape_tex, bold=_bold_md, texbold=_bold_tex, htmlbold=_bold_html
    )
    return environment


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ("value", "ci_low", "ci_high", "sd", "n", "unverified")
    names = [f"{column} {name}" for column in table.columns for name in fields]
    writer.writerow(["setting", "row", "kind", *names, "source", "note"])
    for group in table.groups:
        for row in group.rows:
            numbers = [
                "" if cell is None or getattr(cell, name) is None else getattr(cell, name)
                for cell in row.cells
                for name in fields
            ]
            writer.writerow([group.title, row.label, row.kind, *numbers, row.source, row.note])
    return out.getvalue()


def _terminal(table: Table) -> str:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("")
    drawn.add_column("")
    for column in table.columns:
        drawn.add_column(column, justify="right")
    for group in table.groups:
        drawn.add_row(Text(group.title, style="italic"))
        if group.measured:
            counts = [group.prompts(index) for index in range(len(table.columns))]
            drawn.add_row("  prompts", "", *counts, style="dim")
        for row in group.rows:
            cells = [
                Text(_marked(table.text(cell), cell), style="bold" if cell and cell.best else "")
                for cell in row.cells
            ]
            drawn.add_row(Text(f"  {row.label}"), Text(table.kind_of(row)), *cells)
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=False)
    console.print(drawn)
    for note in table.notes():
        console.print(Text(note, style="dim"))
    for number, source in enumerate(table.sources(), start=1):
        console.print(Text(f"[{number}] {source}", style="dim"))
    lines = out.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"

"""A table as text of some form. What comes from files is escaped for the form."""

import csv
import io
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from kdbench.errors import InputError, nearest
from kdbench.tables.model import Cell, Content
from kdbench.text import escape_md, printable

if TYPE_CHECKING:
    from jinja2 import Environment

FORMS = ("terminal", "md", "csv", "tex", "html")

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "†": r"$\dagger$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def render(table: Content, form: str) -> str:
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


def escape_md_source(source: str) -> str:
    """A source, `title, address`; the address stays whole, so that it can be followed."""
    title, _, address = source.rpartition(", ")
    if not address.startswith(("https://", "http://")) or "<" in address or ">" in address:
        return escape_md(source)
    return f"{escape_md(title)}, <{address}>"


def escape_tex(text: str) -> str:
    """For LaTeX."""
    text = "".join(_TEX.get(char, char) for char in " ".join(text.split()))
    # After the \\ of the line before, these would be read as its argument.
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


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
        md=escape_md,
        md_source=escape_md_source,
        tex=escape_tex,
        bold=_bold_md,
        texbold=_bold_tex,
        htmlbold=_bold_html,
    )
    return environment


def _csv(table: Content) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = ["value", "ci_low", "ci_high", "sd", "n", "unverified", "best"]
    if any(
        cell and cell.bound for group in table.groups for row in group.rows for cell in row.cells
    ):
        fields.append("bound")
    columns = [column.rstrip(" ↑↓") for column in table.columns]
    names = [f"{column} {name}" for column in columns for name in fields]
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


def _terminal(table: Content) -> str:
    """Aligned columns; a title stands above its group."""
    lines: list[tuple[str, ...]] = [("", "", *table.columns)]
    for group in table.groups:
        lines.append((group.title,))
        if group.measured:
            counts = (group.prompts(column) for column in range(len(table.columns)))
            lines.append(("  prompts", "", *counts))
        for row in group.rows:
            cells = (_starred(table, cell) for cell in row.cells)
            lines.append((f"  {row.label}", table.kind_of(row), *cells))
    lines = [tuple(map(printable, line)) for line in lines]
    columns = zip(*(line for line in lines if len(line) > 1), strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    drawn = [_aligned(line, widths) if len(line) > 1 else line[0] for line in lines]
    sources = [f"[{number}] {source}" for number, source in enumerate(table.sources(), start=1)]
    foot = [*table.notes(best="*"), *sources, *table.row_notes()]
    return "\n".join([*drawn, "", *map(printable, foot)]) + "\n"


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    padded = []
    for column, (text, width) in enumerate(zip(line, widths, strict=True)):
        space = " " * (width - cell_len(text))
        padded.append(text + space if column < 2 else space + text)
    return "  ".join(padded).rstrip()


def _starred(table: Content, cell: Cell | None) -> str:
    return _marked(table.text(cell), cell) + ("*" if cell is not None and cell.best else "")

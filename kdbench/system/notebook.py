"""HTML for a cell of a notebook. All texts are escaped; colours follow the notebook's own.

The style has no colours but shades of the text's, so that it fits a light and a dark notebook. It
overrules that of notebooks, which centres and wraps cells of tables.
"""

from collections.abc import Collection, Sequence
from html import escape

from kdbench.text import without_controls

STYLE = """<style>
.kdbench { overflow-x: auto; }
.kdbench table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .3em 0; }
.kdbench caption { text-align: left; font-weight: 600; padding: .2em 0; color: inherit; }
.kdbench th, .kdbench td { padding: .15em .7em; text-align: right !important; color: inherit;
  white-space: nowrap !important; }
.kdbench .left, .kdbench tr.group th, .kdbench td:first-child, .kdbench td.kind {
  text-align: left !important; }
.kdbench thead th { border-bottom: 2px solid; }
.kdbench tr.group th { padding-top: .9em; border-bottom: 1px solid rgba(128, 128, 128, .6); }
.kdbench small, .kdbench .prompts td, .kdbench .reported, .kdbench .notes { opacity: .8;
  font-weight: normal; }
.kdbench small { margin-left: .35em; }
.kdbench .notes { max-width: 60em; margin: .3em 0; white-space: normal; }
.kdbench ul.notes, .kdbench ol.notes { padding-left: 1.6em; }
</style>"""

_SHOWN = 12  # rows; the others are folded away


def html_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    notes: Sequence[str] = (),
    left: Collection[int] = (0,),
) -> str:
    """Return a table for a cell of a notebook; of a long one the later rows are folded away.

    Args:
        titles: Titles of the columns.
        rows: Texts of the cells by row.
        caption: Text above the table.
        notes: Texts below the table.
        left: Indices of left-aligned columns; the others are right-aligned.
    """
    shown = rows if len(rows) <= _SHOWN + 3 else rows[:_SHOWN]
    parts = [_table(titles, shown, caption, left)]
    if hidden := rows[len(shown) :]:
        summary = f"<summary>{len(hidden)} more rows</summary>"
        parts.append(f"<details>{summary}{_table(titles, hidden, '', left)}</details>")
    return cell(parts, notes)


def cell(parts: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Return parts, which are HTML, and notes, which are text, as one cell of a notebook."""
    below = [f'<p class="notes">{text(note)}</p>' for note in notes]
    return "\n".join([f'<div class="kdbench">{STYLE}', *parts, *below, "</div>"])


def text(value: str) -> str:
    """Return a text as HTML, without control and bidi characters."""
    return escape(without_controls(value))


def _table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], caption: str, left: Collection[int]
) -> str:
    heads = "".join(_cell("th", title, place in left) for place, title in enumerate(titles))
    lines = [
        "<tr>"
        + "".join(_cell("td", value, place in left) for place, value in enumerate(row))
        + "</tr>"
        for row in rows
    ]
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    body = "\n".join(lines)
    return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(tag: str, value: str, is_left: bool) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    kind = ' class="left"' if is_left else ""
    return f"<{tag}{scope}{kind}>{text(value)}</{tag}>"

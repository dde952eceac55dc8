"""No text in a table can break the output format."""

import csv
import html
import re
from html.parser import HTMLParser

import pytest

from kdbench.tables import Cell, Group, Table, TableRow

HOSTILE = [
    "a|b",
    "*bold* **b**",
    "under_score __x__",
    "<script>alert(1)</script>",
    "R&D 100% $5 #1 {x} ~ ^",
    r"back\slash \| \textbf{x}",
    "`code` [link](http://x.org)",
    "two\nlines",
    "<!-- kdbench:end table -->",
    "&lt;b&gt; &amp; &#60;",
    "~~gone~~",
]


def of_one_row(
    label="GKD", source="S", columns=("Dolly",), title="G", note="", error="ci", cell=None
):
    line = TableRow(label, "reported", True, source, (cell or Cell(1.0),) * len(columns), note)
    return Table("rougeL", "points", columns, (Group("g", title, (line,)),), error)


class Page(HTMLParser):
    """Collect what a browser sees: the tags, and the text of the cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.tags.add(tag)
        if tag in ("td", "th", "li"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("text", HOSTILE)
def test_html_escapes_any_text(text):
    page = Page(of_one_row(text, text, (text,), text, note=text).render("html"))
    assert page.tags == Page(of_one_row(note="x").render("html")).tags
    cells = [cell.strip() for cell in page.cells]
    assert cells.count(text) == 4
    assert cells[-1] == f"{text}: {text}"


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_escapes_any_text(text):
    plain, drawn = (
        of_one_row(label, label, (label,), label, note=label).render("md").splitlines()
        for label in ("GKD", text)
    )
    assert len(drawn) == len(plain)
    rows = [re.split(r"(?<!\\)(?:\\\\)*\|", line) for line in drawn[:4]]
    assert [len(cells) for cells in rows] == [5] * 4
    shown = re.sub(r"\\(.)", r"\1", rows[3][1].strip())
    assert html.unescape(shown) == " ".join(text.split())
    for line in (rows[3][1], drawn[-4].removeprefix("1. "), drawn[-1].removeprefix("- ")):
        bare = re.sub(r"\\.", "", line)
        assert not set(bare) & set("*_`[]<>|~")
        assert re.sub("&(amp|lt|gt);", "", bare).count("&") == 0
    assert "<!--" not in "\n".join(drawn)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("R&D 100% $5 #1 {x}", r"R\&D 100\% \$5 \#1 \{x\}"),
        ("a_b~c^d", r"a\_b\textasciitilde{}c\textasciicircum{}d"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("± → † –", r"$\pm$ $\rightarrow$ $\dagger$ --"),
        ("a|b *c* <d>", r"a\textbar{}b *c* \textless{}d\textgreater{}"),
        ("a--b 知 é e\u0301 α", r"a-{}-b \kdbenchchar{知}{77E5} é é $\alpha$"),
    ],
)
def test_latex_escapes_any_text(text, escaped):
    drawn = of_one_row(text, text, (text,), text, note=text).render("tex")
    assert f"{escaped} & reported [1] & 1.00 \\\\" in drawn
    assert f"~ & & {escaped} \\\\" in drawn
    assert f"\\textit{{{escaped}}}" in drawn
    assert f"% [1] {escaped}\n% {escaped}: {escaped}\n" in drawn


@pytest.mark.parametrize("where", ["label", "source", "title", "note"])
def test_latex_escapes_newlines(where):
    text = "a\n\n\\input{secrets}"
    drawn = of_one_row(**{where: text}).render("tex")
    assert "\n\n" not in drawn
    assert "\n\\input" not in drawn


@pytest.mark.parametrize("label", ["[2] GKD", "*GKD"])
def test_latex_labels_are_not_arguments_of_the_previous_line(label):
    assert f"\n{label[0]}" not in of_one_row(label).render("tex")


@pytest.mark.parametrize("name", ["my[task]", "a[/b]"])
def test_the_terminal_shows_column_names_unchanged(name):
    assert name in of_one_row(columns=(name,)).render("terminal")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\x9bb", "a\rb", "a\n\nb", "a\u202eb", "a\u2028b"])
def test_control_characters_do_not_reach_the_terminal(text):
    plain, drawn = (
        of_one_row(label, label, (label,), label, note=label).render("terminal")
        for label in ("ab", text)
    )
    assert "".join(char for char in drawn if char != "\n").isprintable()
    assert drawn.count("\n") == plain.count("\n")


def test_wide_characters_keep_the_terminal_aligned():
    lines = of_one_row("知識", columns=("日本", "Dolly")).render("terminal").splitlines()
    assert lines[0] == " " * 22 + "日本  Dolly"
    assert lines[2] == "  知識  reported [1]  1.00   1.00"


def test_the_terminal_cuts_no_number_and_no_title():
    cell, title = Cell(23.456, 22.9, 24.614, 0.354, 500), "GPT-2 XL → GPT-2, protocol " + "x" * 30
    wide = of_one_row(columns=("C",) * 6, title=title, error="both", cell=cell).render("terminal")
    assert title in wide
    assert wide.count("23.46 ± 0.35 [22.90, 24.61]") == 6


@pytest.mark.parametrize("form", ["terminal", "md", "csv", "tex", "html"])
def test_no_form_has_control_or_bidi_characters(form: str) -> None:
    evil = "\x1b[31mred\x07\x9b\u202egnp"
    text = of_one_row(label=evil, source=evil, title=evil, note=evil).render(form)
    assert all(char.isprintable() for char in text.replace("\n", ""))


@pytest.mark.parametrize("formula", ["=cmd()", "+1", "-1", "@SUM(A1)"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(formula: str) -> None:
    text = of_one_row(label=formula, source=formula, title=formula, note=formula).render("csv")
    (cells,) = csv.DictReader(text.splitlines())
    texts = {cells[name] for name in ("setting", "row", "source", "note")}
    assert texts == {f"'{formula}"}

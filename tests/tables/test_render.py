"""A table in its five formats, with its notes."""

import csv
import html
import io
import json
from dataclasses import replace

import pytest

from kdbench.errors import InputError
from kdbench.tables import Cell, Group, Table, TableRow

ONE, TWO = "Page one, https://x.org/1", "Paper & two, https://x.org/2"


def row(label, kind, ranked, source, *cells, note=""):
    return TableRow(label, kind, ranked, source, cells, note)


def table(error="both"):
    teacher = Cell(30.0, 28.0, 32.5, 0.25, 500), Cell(20.0, n=80), Cell(25.0, n=580)
    gkd = (
        Cell(23.456, 22.9, 24.614, 0.354, 500, best=True),
        Cell(16.5, 15.0, 18.0, n=80),
        Cell(19.978, n=580, best=True),
    )
    kd = (
        Cell(22.8, sd=0.31, decimals=1),
        Cell(17.4, decimals=1, unverified=True, best=True),
        Cell(20.1, decimals=1, unverified=True),
    )
    measured = (
        row("Teacher", "measured", False, "teacher/r", *teacher),
        row("GKD", "measured", True, "gkd/r", *gkd),
        row("SFT_b", "measured", True, "sft/r", Cell(20.0, n=20), None, None, note="not complete"),
    )
    reported = (
        row("GKD", "reported", True, ONE, Cell(23.75, best=True), Cell(16.64), Cell(20.2)),
        row("KD", "reported", True, TWO, *kd),
        row("Best of all", "reported", False, ONE, Cell(99.0), None, None, note="composite"),
    )
    groups = (
        Group("toy", "Toy, protocol minillm", measured),
        Group("gpt2", "GPT-2 → small", reported),
    )
    return Table("rougeL", "points", ("Dolly", "Vicuna", "AVG"), groups, error)


NOTES = (
    "Cells show rougeL (points).",
    "The measured rows come from kdbench.",
    "± is the standard deviation over seeds.",
    "Brackets hold the 95 % interval over prompts.",
    "Each reported row is copied from its source, "
    "with its standard deviation over seeds (±) if it gives one.",
    "† marks numbers recalled from a paper and not checked against it.",
    "Within each setting, bold marks the best student in a column.",
)

MD = f"""\
|  |  | Dolly | Vicuna | AVG |
|:--|:--|--:|--:|--:|
| **Toy, protocol minillm** |  |  |  |  |
| prompts |  | 20–500 | 80 | 580 |
| Teacher | measured | 30.00 ± 0.25 [28.00, 32.50] | 20.00 | 25.00 |
| GKD | measured | **23.46** ± 0.35 [22.90, 24.61] | 16.50 [15.00, 18.00] | **19.98** |
| SFT\\_b | measured | 20.00 |  |  |
| **GPT-2 → small** |  |  |  |  |
| GKD | reported [1] | **23.75** | 16.64 | 20.20 |
| KD | reported [2] | 22.8 ± 0.3 | **17.4** † | 20.1 † |
| Best of all | reported [1] | 99.00 |  |  |

{" ".join(NOTES)}

Sources:
1. Page one, <https://x.org/1>
2. Paper &amp; two, <https://x.org/2>

Notes:
- SFT\\_b: not complete
- Best of all: composite
"""

TEX = r"""% needs \usepackage{booktabs}
\begin{tabular}{llrrr}
\toprule
~ & & Dolly & Vicuna & AVG \\
\midrule
\multicolumn{5}{l}{\textit{Toy, protocol minillm}} \\
prompts & & 20--500 & 80 & 580 \\
Teacher & measured & 30.00 $\pm$ 0.25 [28.00, 32.50] & 20.00 & 25.00 \\
GKD & measured & \textbf{23.46} $\pm$ 0.35 [22.90, 24.61] & 16.50 [15.00, 18.00] & \textbf{19.98} \\
SFT\_b & measured & 20.00 &  &  \\
\midrule
\multicolumn{5}{l}{\textit{GPT-2 $\rightarrow$ small}} \\
GKD & reported [1] & \textbf{23.75} & 16.64 & 20.20 \\
KD & reported [2] & 22.8 $\pm$ 0.3 & \textbf{17.4} $\dagger$ & 20.1 $\dagger$ \\
Best of all & reported [1] & 99.00 &  &  \\
\bottomrule
\end{tabular}
% TEX_NOTES
% [1] Page one, https://x.org/1
% [2] Paper \& two, https://x.org/2
% SFT\_b: not complete
% Best of all: composite
"""

TEX_NOTES = " ".join(NOTES).replace("±", r"$\pm$").replace("†", r"$\dagger$").replace("%", r"\%")

HTML_ROWS = """\
<tr class="prompts"><td>prompts</td><td></td><td>20–500</td><td>80</td><td>580</td></tr>
<tr title="gkd/r"><td>GKD</td><td class="kind measured">measured</td>\
<td><b>23.46</b><small>± 0.35 [22.90, 24.61]</small></td>\
<td>16.50<small>[15.00, 18.00]</small></td><td><b>19.98</b></td></tr>
<tr title="sft/r: not complete"><td>SFT_b</td><td class="kind measured">measured</td>\
<td>20.00</td><td></td><td></td></tr>
<tr title="Paper &amp; two, https://x.org/2"><td>KD</td><td class="kind reported">reported [2]</td>\
<td>22.8<small>± 0.3</small></td><td><b>17.4</b><small>†</small></td>\
<td>20.1<small>†</small></td></tr>
<li>Page one, https://x.org/1</li>
<li>Paper &amp; two, https://x.org/2</li>
<li>SFT_b: not complete</li>
<li>Best of all: composite</li>
"""

TERMINAL = f"""\
                                                    Dolly                Vicuna     AVG
Toy, protocol minillm
  prompts                                          20–500                    80     580
  Teacher      measured       30.00 ± 0.25 [28.00, 32.50]                 20.00   25.00
  GKD          measured      23.46 ± 0.35 [22.90, 24.61]*  16.50 [15.00, 18.00]  19.98*
  SFT_b        measured                             20.00
GPT-2 → small
  GKD          reported [1]                        23.75*                 16.64   20.20
  KD           reported [2]                    22.8 ± 0.3               17.4 †*  20.1 †
  Best of all  reported [1]                         99.00

{chr(10).join(NOTES[:-1])}
Within each setting, * marks the best student in a column.
[1] {ONE}
[2] {TWO}
SFT_b: not complete
Best of all: composite
"""


def test_markdown_output():
    assert table().render("md") == MD


def test_latex_output():
    assert table().render("tex") == TEX.replace("TEX_NOTES", TEX_NOTES)


def test_html_output():
    lines = table().render("html").splitlines()
    assert [line for line in HTML_ROWS.splitlines() if line not in lines] == []
    assert lines[0] == "<!doctype html>"
    assert lines[-1] == "</html>"
    assert f'<p class="notes">{" ".join(NOTES)}</p>' in map(html.unescape, lines)


def test_terminal_output():
    assert table().render("terminal") == TERMINAL
    assert str(table()) == TERMINAL


def test_csv_has_full_precision():
    reader = csv.DictReader(io.StringIO(table().render("csv")))
    rows = list(reader)
    assert [(record["setting"], record["row"], record["kind"]) for record in rows] == [
        (group.title, line.label, line.kind) for group in table().groups for line in group.rows
    ]
    names = ("value", "ci_low", "ci_high", "sd", "n", "unverified", "second_hand", "best")
    columns = [f"{column} {name}" for column in table().columns for name in names]
    before_origin = ["setting", "row", "kind", *columns, "source", "note"]
    assert reader.fieldnames[: len(before_origin)] == before_origin
    for record, line in zip(rows, (r for g in table().groups for r in g.rows), strict=True):
        assert (record["source"], record["note"]) == (line.source, line.note)
        for column, cell in zip(table().columns, line.cells, strict=True):
            for name in names:
                value = None if cell is None else getattr(cell, name)
                assert record[f"{column} {name}"] == ("" if value is None else str(value))


@pytest.mark.parametrize(
    ("error", "measured", "reported"),
    [
        ("ci", "23.46 [22.90, 24.61]", "22.8 ± 0.3"),
        ("sd", "23.46 ± 0.35", "22.8 ± 0.3"),
        ("both", "23.46 ± 0.35 [22.90, 24.61]", "22.8 ± 0.3"),
        ("none", "23.46", "22.8"),
    ],
)
def test_error_bars_are_shown_as_requested(error, measured, reported):
    shown = table(error)
    groups = shown.groups
    assert shown.text(groups[0].rows[1].cells[0]) == measured
    assert shown.text(groups[1].rows[1].cells[0]) == reported


@pytest.mark.parametrize(
    ("error", "measured", "reported"),
    [
        ("ci", NOTES[3:4], NOTES[4]),
        ("sd", NOTES[2:3], NOTES[4]),
        ("none", (), "Each reported row is copied from its source."),
    ],
)
def test_the_notes_explain_the_error_bars_that_are_shown(error, measured, reported):
    assert tuple(table(error).notes()) == (*NOTES[:2], *measured, reported, *NOTES[5:])


@pytest.mark.parametrize("form", ["terminal", "md", "tex", "html"])
def test_notes_explain_only_what_occurs(form):
    line = row("GKD", "measured", True, "gkd/r", Cell(1.0, n=20))
    plain = Table("rougeL", "points", ("Dolly",), (Group("g", "G", (line,)),), "none")
    assert plain.notes() == ["Cells show rougeL (points).", "The measured rows come from kdbench."]
    drawn = plain.render(form)
    assert [
        phrase for phrase in ("reported row", "†", "dagger", "best student") if phrase in drawn
    ] == []
    assert [
        phrase for phrase in ("Sources", "Notes:", "<ol", "<ul", "% [") if phrase in drawn
    ] == []


def test_equal_notes_of_equal_rows_are_listed_once():
    line = row("GKD", "measured", True, "gkd/r", Cell(1.0, n=20), note="not complete")
    groups = Group("a", "A", (line, line)), Group("b", "B", (line,))
    twice = Table("rougeL", "points", ("Dolly",), groups, "ci")
    assert twice.row_notes() == ["GKD: not complete"]
    assert twice.render("terminal").count("not complete") == 1


def test_an_unknown_format_is_refused():
    with pytest.raises(InputError, match=r"^format=htm: did you mean 'html'"):
        table().render("htm")


def test_json_has_an_object_for_each_cell():
    cells = json.loads(table().render("json"))
    assert len(cells) == 6 * 3
    first = {key: cells[0][key] for key in ("setting", "setting_id", "row", "kind", "ranked")}
    assert first == {
        "setting": "Toy, protocol minillm",
        "setting_id": "toy",
        "row": "Teacher",
        "kind": "measured",
        "ranked": False,
    }
    numbers = ("column", "metric", "value", "ci_low", "ci_high", "sd", "n", "best", "verified")
    assert [cells[3][key] for key in numbers] == [
        *("Dolly", "rougeL", 23.456, 22.9, 24.614, 0.354, 500, True, None)
    ]
    kd = [cell for cell in cells if cell["row"] == "KD"]
    assert [(cell["value"], cell["verified"], cell["n"]) for cell in kd] == [
        *((22.8, True, None), (17.4, False, None), (20.1, False, None))
    ]
    assert [cell["value"] for cell in cells if cell["row"] == "SFT_b"] == [20.0, None, None]


def test_json_holds_no_number_that_json_has_not():
    line = row("GKD", "measured", True, "gkd/r", Cell(float("nan"), float("-inf"), float("inf")))
    text = Table("rougeL", "points", ("Dolly",), (Group("g", "G", (line,)),), "ci").render("json")
    (cell,) = json.loads(text, parse_constant=pytest.fail)
    assert (cell["value"], cell["ci_low"], cell["ci_high"]) == (None, None, None)


def test_a_narrow_terminal_shows_less_and_says_so():
    drawn = table().render("terminal", 60)
    assert max(map(len, drawn.splitlines())) <= 60
    assert "23.46 ± 0.35*" in drawn
    assert "22.90" not in drawn
    assert "no room for 95 % intervals: see them with error=ci" in drawn
    assert "Brackets hold" not in drawn
    assert "reported [1]" in drawn  # what tells measured rows from reported ones stays
    assert "23.46*" in table().render("terminal", 50)
    assert "± is" not in table().render("terminal", 50)
    kept = replace(table(), keeps_errors=True).render("terminal", 60)
    assert "30.00 ± 0.25 [28.00, 32.50]" in kept
    assert "no room" not in kept

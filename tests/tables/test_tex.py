"""LaTeX compiles whatever the names are: with an engine if there is one, and by strict rules."""

import re
import shutil
import subprocess

import pytest

from kdbench.tables import Cell, Group, Table, TableRow

HOSTILE = [
    *("R&D 100% $5 #1 {x} ~ ^ _", r"back\slash \input{/etc/passwd} \\", 'a|b *c* <d> "q" `t\''),
    *("[2] start", "*star", "a-- --- b", "↑ ↓ ± – — ≥ ≤ † × − → ←", "é ü ß ø Å ł ő Ž « » “ ”"),
    *("α β λ Ω ∞ ≈ ≠ √", "知識 日本語", "emoji 🙂", "العربية עברית", "русский", "ĐðÞ Ąę ŋ"),
    *("½ ² µ ° © ™ € £", "\u0301alone e\u0301 \ufb01", "\\", "%", "{", "}", "&", "$", "\ud7ff"),
]


def table(columns=("Dolly ↑", "Col_2 & %"), labels=tuple(HOSTILE)):
    cells = (Cell(1.234, 1.1, 1.4, 0.2, 100, best=True), *[Cell(2.5)] * (len(columns) - 1))
    rows = tuple(TableRow(label, "measured", True, label, cells, label) for label in labels)
    groups = tuple(Group(f"g{n}", label, rows) for n, label in enumerate(labels[:3]))
    return Table("rougeL", "points", columns, groups, "both").render("tex")


def body_lines(text):
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    start = next(n for n, line in enumerate(lines) if line.startswith(r"\begin{tabular}"))
    return lines[start:]


def test_every_row_has_the_declared_columns_and_balanced_braces():
    lines = body_lines(table())
    spec = re.fullmatch(r"\\begin\{tabular\}\{(\w+)\}", lines[0]).group(1)
    assert spec == "llrr"
    for line in lines[1:-1]:
        bare = re.sub(r"\\[\\&%$#_{}]", lambda match: "" if match[0] != r"\\" else "!", line)
        assert bare.count("{") == bare.count("}")
        if line.startswith((r"\toprule", r"\midrule", r"\bottomrule")):
            continue
        assert bare.endswith("!")
        assert bare.count("!") == 1
        width = int(match.group(1)) if (match := re.match(r"\\multicolumn\{(\d+)\}", line)) else 1
        assert bare.count("&") + width == len(spec)
    assert lines[-1] == r"\end{tabular}"


def test_only_known_commands_and_ascii_or_latin_characters_occur():
    commands = set(re.findall(r"\\([A-Za-z]+)", "\n".join(body_lines(table()))))
    text = {"textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater"}
    frame = {"begin", "end", "toprule", "midrule", "bottomrule", "multicolumn", "textit", "textbf"}
    math = {"uparrow", "downarrow", "pm", "geq", "leq", "dagger", "times", "rightarrow", "surd"}
    math |= {"leftarrow", "ll", "gg", "alpha", "beta", "lambda", "Omega", "infty", "approx", "neq"}
    assert commands <= text | frame | math | {"textbar", "textasciigrave", "kdbenchchar"}
    outside = re.sub(r"\\kdbenchchar\{[^}]+\}\{[0-9A-F]{4,6}\}", "", "\n".join(body_lines(table())))
    assert [char for char in outside if ord(char) > 0x17F and char not in "“”€™"] == []


def test_the_macro_is_there_only_if_it_is_used():
    assert r"\providecommand{\kdbenchchar}" in table()
    assert "kdbenchchar" not in table(labels=("GKD", "é"))


def test_a_wide_table_says_how_to_fit_it():
    assert r"\resizebox" not in table()
    lines = table(columns=tuple("ABCDE"), labels=("GKD",)).splitlines()
    assert lines[1].startswith("% wide: ")


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex", "lualatex", "tectonic"])
def test_it_compiles(engine, tmp_path):
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} here")
    (tmp_path / "table.tex").write_text(table(), "utf-8")
    (tmp_path / "doc.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{table}\n"
        "\\end{document}\n"
    )
    options = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [engine, *options, "doc.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]
    assert (tmp_path / "doc.pdf").stat().st_size > 1000

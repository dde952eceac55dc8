"""A table as a data frame, and in a notebook."""

import csv
import io
import re

import pandas as pd

from kdbench.tables import Cell, Group, Table, TableRow

HOSTILE = '<script>alert("x")</script>\u202e\x1b[31m'


def table(label="GKD", error="ci"):
    """Two measured rows and a reported one, with a cell missing."""
    good = Cell(23.754, 22.9, 24.6, 0.25, 500, best=True)
    rows = (
        TableRow("SFT", "measured", True, "SFT/run", (Cell(9.5, 9.0, 10.0, None, 500), None)),
        TableRow(label, "measured", True, "GKD/run", (good, Cell(0.5, n=20, bound="lower"))),
    )
    day = {"day": "2026-11-22", "machine": "CPU"}
    rows = tuple(TableRow(**{**vars(row), **day}) for row in rows)
    paper = TableRow("KD", "reported", True, "A paper", (Cell(20.0, sd=0.1, unverified=True), None))
    groups = (Group("a", "here", rows), Group("b", "there", (paper,)))
    return Table("rougeL", "points", ("Dolly ↑", "cost ↓"), groups, error)


def test_each_number_is_a_row():
    frame = table().to_pandas()
    assert frame[["row", "column", "value"]].values.tolist() == [
        ["SFT", "Dolly", 9.5],
        ["GKD", "Dolly", 23.754],
        ["GKD", "cost", 0.5],
        ["KD", "Dolly", 20.0],
    ]
    assert frame.setting.tolist() == ["here", "here", "here", "there"]
    assert frame.best.tolist() == [False, True, False, False]
    assert frame.n.tolist()[:3] == [500, 500, 20]
    assert frame.text[1] == "23.75 [22.90, 24.60]"
    assert frame.bound.fillna("").tolist() == ["", "", "lower", ""]
    assert frame.verified[3] == False  # noqa: E712 - a value of pandas
    assert frame.verified[:3].isna().all()
    assert frame.day[0] == pd.Timestamp("2026-11-22")
    assert pd.isna(frame.day[3])


def test_the_numbers_are_those_of_the_csv_file():
    given = table()
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(given.render("csv")))}
    for row in given.to_pandas().to_dict("records"):
        line = lines[row["row"]]
        for name in ("value", "ci_low", "ci_high", "sd", "n"):
            text = line[f"{row['column']} {name}"]
            assert pd.isna(row[name]) if text == "" else float(text) == row[name]


def test_three_lines_give_the_table_back():
    cells = table().to_pandas()
    wide = cells.pivot(index=["setting", "row"], columns="column", values="text")
    assert wide.loc[("here", "GKD"), "Dolly"] == "23.75 [22.90, 24.60]"


def test_a_notebook_shows_the_table_of_the_page():
    given = table(HOSTILE)
    cell, page = given._repr_html_(), given.render("html")
    (inner,) = re.findall(r"<table>.*</table>", page, re.S)
    assert inner in cell
    assert "<script>" not in cell
    assert "\u202e" not in cell
    assert "\x1b" not in cell
    assert "<html" not in cell
    assert "&lt;script&gt;" in cell


def test_python_shows_the_table_as_a_terminal_does():
    assert repr(table()) == str(table()).rstrip("\n")
    assert repr(table()).startswith(" ")

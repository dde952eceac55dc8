"""Tables in their four forms."""

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kdbench.errors import InputError
from kdbench.system.printed import PrintedTable

if TYPE_CHECKING:
    from rich.text import Text

ROWS: list[dict[str, Any]] = [
    {"row": "=SUM(A1)", "value": 0.5, "seeds": [10, 11]},
    {"row": "KD", "value": None, "seeds": []},
]


@dataclass(frozen=True, repr=False)
class Rows(PrintedTable):
    rows: list[dict[str, Any]]

    def records(self) -> list[dict[str, Any]]:
        return self.rows

    def lines(self, width: int | None) -> "list[Text]":
        from rich.text import Text

        return [Text(f"{row['row']} at width {width}", "bold") for row in self.rows]

    def markdown(self) -> str:
        return "| row |\n"


def test_print_shows_the_lines_of_a_terminal() -> None:
    table = Rows(ROWS)
    assert table.render("terminal", 40) == "=SUM(A1) at width 40\nKD at width 40\n"
    assert str(table) == table.render("terminal", None)
    assert repr(table) == str(table).rstrip("\n")


def test_csv_holds_plain_values_and_no_formulas() -> None:
    read = list(csv.reader(io.StringIO(Rows(ROWS).render("csv"))))
    assert read == [["row", "value", "seeds"], ["'=SUM(A1)", "0.5", "10 11"], ["KD", "", ""]]
    assert Rows([]).render("csv").strip() == ""


def test_json_and_pandas_hold_the_records() -> None:
    table = Rows(ROWS)
    assert json.loads(table.render("json")) == ROWS
    assert table.to_pandas()["row"].tolist() == ["=SUM(A1)", "KD"]
    assert table.render("md") == "| row |\n"


def test_an_unknown_form_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="format=tex: known: csv, json, md, terminal"):
        Rows(ROWS).render("tex")

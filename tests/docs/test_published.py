"""The page on published numbers: its table, and the pictures, are those of today's file."""

from pathlib import Path

import pytest

from kdbench.tables.spread import method_spreads, spread_markdown, spread_text
from tests.helpers.docs_scripts import docs_script

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_spreads_is_that_of_the_file():
    page = (DOCS / "published.md").read_text("utf-8")
    begin, end = "<!-- kdbench:begin spread -->\n", "<!-- kdbench:end spread -->"
    table = page.partition(begin)[2].partition(end)[0]
    assert table == spread_markdown(), "run python docs/images/spread.py"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pictures_of_spreads_show_the_numbers_of_the_file(theme):
    script = docs_script("images/spread.py")
    picture = (DOCS / f"images/spread-{theme}.svg").read_text("utf-8")
    assert script.description() in picture, "run python docs/images/spread.py"


def test_a_range_has_its_width_and_a_single_score_has_none():
    rows = {(row.setting_id, row.method): row for row in method_spreads(least_sources=1)}
    gkd = rows["gpt2-xl-to-gpt2-base", "GKD"]
    assert gkd.sources == 4
    assert spread_text(gkd.by_column["super_natural"]) == "19.43–26.05 (6.62)"
    alone = rows["gpt2-xl-to-gpt2-medium", "GKD"]
    assert spread_text(alone.by_column["dolly"]) == "25.31"
    assert spread_text(None) == ""

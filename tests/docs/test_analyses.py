"""The page on analyses shows the stored answers, and every registered analysis."""

from pathlib import Path

import pytest

from kdbench.analyses import analyses
from kdbench.reports.conclusions import markdown_table
from kdbench.store.conclusions import read_conclusion
from kdbench.text import escape_md

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "analyses.md").read_text("utf-8")
STORED = sorted((DOCS / "analyses").glob("*.json"))


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_the_page_shows_the_stored_answer(file):
    conclusion = read_conclusion(file)
    for table in conclusion.tables:
        assert markdown_table(table) in PAGE
    for sentence in conclusion.sentences:
        assert escape_md(sentence) in PAGE
    if conclusion.panels:
        for name in (f"{file.stem}.svg", f"{file.stem}-dark.svg"):
            assert f"analyses/{name}" in PAGE
            assert (DOCS / "analyses" / name).is_file()


def test_the_page_names_every_analysis():
    for name in analyses.names():
        assert f"`{name}`" in PAGE

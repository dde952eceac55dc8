"""Every page opens from disk without errors, is accessible, and fits a phone."""

import pytest
from browser import THEMES, WIDTHS, findings, page_names

PAGES = ("leaderboard", "compare", "samples", "fidelity", "cost", "run")


def test_every_page_is_looked_at(sites, watched):
    assert page_names(watched.open(sites.folder)) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_both_themes_and_fits_every_width(name, sites, watched):
    page = watched.open(sites.folder, f"#/{name}")
    watched.isolate()
    if page.locator("details").count():
        page.locator("details").first.evaluate("element => (element.open = true)")
    for theme in THEMES:
        for width in WIDTHS:
            watched.look(width, theme)
            where = f"{name}, {theme}, {width} pixels"
            assert watched.overflow() <= 0, where
            # Widths share their colours, and themes their structure.
            if theme == "light" or width == 1280:
                assert list(findings(page, contrast=width == 1280)) == [], where


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_single_file_shows_the_same(name, sites, watched, browser):
    text = "section.page.shown .page-body"
    single = watched.open(sites.single, f"#/{name}").locator(text).inner_text()
    assert single.strip()
    assert watched.open(sites.folder, f"#/{name}").locator(text).inner_text() == single

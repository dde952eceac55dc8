"""Every page opens from disk without errors, is accessible, and fits a phone."""

import pytest
from browser import THEMES, WIDTHS, findings, page_names

PAGES = ("leaderboard", "compare", "samples", "fidelity", "run")


def test_every_page_is_looked_at(sites, watched):
    assert page_names(watched.open(sites.folder)) == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_both_themes_and_fits_every_width(name, sites, watched):
    page = watched.open(sites.folder, f"#/{name}")
    for details in page.locator("section.page.shown details").all():
        details.evaluate("element => (element.open = true)")
    for theme in THEMES:
        for width in WIDTHS:
            watched.look(width, theme)
            where = f"{name}, {theme}, {width} pixels"
            assert list(findings(page)) == [], where
            assert watched.overflow() <= 0, where


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_single_file_shows_the_same(name, sites, watched, browser):
    text = "section.page.shown .page-body"
    single = watched.open(sites.single, f"#/{name}").locator(text).inner_text()
    assert single.strip()
    assert watched.open(sites.folder, f"#/{name}").locator(text).inner_text() == single

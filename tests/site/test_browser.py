"""Every page opens from disk without errors, is accessible, and fits a phone."""

import pytest
from browser import THEMES, WIDTHS, Watched, findings, page_names

PAGES = ("leaderboard", "compare", "samples", "fidelity", "cost", "analyses", "run")


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


def test_the_watch_and_axe_notice_faults(browser, tmp_path):
    bad = tmp_path / "index.html"
    bad.write_text(
        "<!doctype html><html lang=en><title>t</title><main><h1>h</h1>"
        "<p style='color:#ddd'>pale</p><button></button><img src='http://127.0.0.1:9/x.png'>"
        "<div style='width:3000px'>wide</div></main><script>throw Error('broken')</script>"
    )
    seen = Watched(browser)
    page = seen.open(bad)
    assert {fault.partition(":")[0] for fault in seen.faults} == {"console", "error", "request"}
    found = {line.partition(":")[0] for line in findings(page)}
    assert {"color-contrast", "button-name", "image-alt"} <= found
    assert seen.overflow() > 1000
    seen.context.close()

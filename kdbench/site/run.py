"""The page Run."""

from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.source import SiteSource


def run_page(source: SiteSource) -> Page:
    """Make the page Run."""
    return Page("run", "Run", render("run.html.j2", source=source), ("run.js",))

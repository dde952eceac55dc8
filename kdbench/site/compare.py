"""The page Compare."""

from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.source import SiteSource


def compare_page(source: SiteSource) -> Page:
    """Make the page Compare."""
    return Page("compare", "Compare", render("compare.html.j2", source=source), ("compare.js",))
